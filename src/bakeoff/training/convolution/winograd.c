// Winograd's transforms of maps whose channels lie innermost, shape (batch, height, width, channels).
//
// The text before this, written by winograd.py, defines REAL, TILE (outputs a side of a tile), TAPS (a side of the
// kernel), POINTS = TILE + TAPS - 1, and the matrices INPUT[POINTS][POINTS], OUTPUT[TILE][POINTS], GRADIENT[POINTS][TILE],
// KERNEL[POINTS][TAPS] and WEIGHT[TAPS][POINTS]. Each function takes one matrix to both sides of every tile or kernel. A
// transformed map is POINTS x POINTS planes of shape (tiles, channels), so that each plane is an operand of a matrix product.
//
// The matrices are constants and their loops are unrolled, so that no instruction is spent on their zeros.

#include <string.h>

#define LANES 16 // channels at once: one or two cache lines

typedef REAL lanes __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL))));

static inline lanes load(const REAL *from, long count) {
  if (count == LANES) return *(const lanes *)from;
  lanes some = {0};
  memcpy(&some, from, count * sizeof(REAL));
  return some;
}

static inline void store(REAL *to, lanes value, long count) {
  if (count == LANES) *(lanes *)to = value;
  else memcpy(to, &value, count * sizeof(REAL));
}

// to = MATRIX from MATRIX^T, with MATRIX of shape (ROWS, COLUMNS) and `from` of shape (COLUMNS, COLUMNS)
#define BOTH_SIDES(NAME, MATRIX, ROWS, COLUMNS)                                                                        \
  static inline void NAME(const lanes *from, lanes *to) {                                                              \
    lanes half[ROWS * COLUMNS];                                                                                        \
    for (int column = 0; column < COLUMNS; column++) {                                                                 \
      _Pragma("GCC unroll 8") for (int row = 0; row < ROWS; row++) {                                                   \
        lanes sum = {0};                                                                                               \
        _Pragma("GCC unroll 8") for (int k = 0; k < COLUMNS; k++)                                                      \
          if (MATRIX[row][k] != 0) sum += MATRIX[row][k] * from[k * COLUMNS + column];                                 \
        half[row * COLUMNS + column] = sum;                                                                            \
      }                                                                                                                \
    }                                                                                                                  \
    for (int row = 0; row < ROWS; row++) {                                                                             \
      _Pragma("GCC unroll 8") for (int column = 0; column < ROWS; column++) {                                          \
        lanes sum = {0};                                                                                               \
        _Pragma("GCC unroll 8") for (int k = 0; k < COLUMNS; k++)                                                      \
          if (MATRIX[column][k] != 0) sum += MATRIX[column][k] * half[row * COLUMNS + k];                              \
        to[row * ROWS + column] = sum;                                                                                 \
      }                                                                                                                \
    }                                                                                                                  \
  }

BOTH_SIDES(input_tile, INPUT, POINTS, POINTS)
BOTH_SIDES(output_tile, OUTPUT, TILE, POINTS)
BOTH_SIDES(gradient_tile, GRADIENT, POINTS, TILE)
BOTH_SIDES(kernel_tile, KERNEL, POINTS, TAPS)
BOTH_SIDES(weight_tile, WEIGHT, TAPS, POINTS)

typedef struct {
  long batch, height, width, channels; // of the maps
  long down, across;                   // tiles in each direction
  long above, before;                 // pixels that the first tile begins before the map
} Maps;

// Cut a tile of SIDE x SIDE pixels, TILE apart from the next, zero outside the map, and write it to POINTS x POINTS rows of
// channels, `step` apart.
#define CUT(NAME, TRANSFORM, SIDE)                                                                                     \
  static inline void NAME##_tile(const REAL *maps, REAL *rows, long step, long tile, Maps m) {                         \
    const long picture = tile / (m.down * m.across);                                                                   \
    const long top = tile / m.across % m.down * TILE - m.above, left = tile % m.across * TILE - m.before;               \
    for (long channel = 0; channel < m.channels; channel += LANES) {                                                   \
      const long count = m.channels - channel < LANES ? m.channels - channel : LANES;                                  \
      lanes from[SIDE * SIDE], to[POINTS * POINTS];                                                                    \
      for (int i = 0; i < SIDE; i++)                                                                                   \
        for (int j = 0; j < SIDE; j++) {                                                                               \
          const long y = top + i, x = left + j;                                                                        \
          const int inside = 0 <= y && y < m.height && 0 <= x && x < m.width;                                          \
          const REAL *pixel = maps + ((picture * m.height + y) * m.width + x) * m.channels + channel;                  \
          from[i * SIDE + j] = inside ? load(pixel, count) : (lanes){0};                                               \
        }                                                                                                              \
      TRANSFORM(from, to);                                                                                             \
      for (int k = 0; k < POINTS * POINTS; k++) store(rows + k * step + channel, to[k], count);                        \
    }                                                                                                                  \
  }                                                                                                                    \
                                                                                                                       \
  /* All tiles, to POINTS x POINTS planes of shape (tiles, channels). */                                               \
  void NAME(const REAL *maps, REAL *planes, Maps m) {                                                                  \
    const long tiles = m.batch * m.down * m.across;                                                                    \
    _Pragma("omp parallel for schedule(static)") for (long tile = 0; tile < tiles; tile++)                             \
      NAME##_tile(maps, planes + tile * m.channels, tiles * m.channels, tile, m);                                      \
  }

CUT(cut_inputs, input_tile, POINTS)
CUT(cut_gradients, gradient_tile, TILE)

// Turn POINTS x POINTS rows of channels, `step` apart, back into a tile of maps; what reaches beyond the map is dropped.
static inline void join_tile(const REAL *rows, long step, REAL *maps, long tile, Maps m) {
  const long picture = tile / (m.down * m.across);
  const long top = tile / m.across % m.down * TILE, left = tile % m.across * TILE;
  for (long channel = 0; channel < m.channels; channel += LANES) {
    const long count = m.channels - channel < LANES ? m.channels - channel : LANES;
    lanes from[POINTS * POINTS], to[TILE * TILE];
    for (int k = 0; k < POINTS * POINTS; k++) from[k] = load(rows + k * step + channel, count);
    output_tile(from, to);
    for (int i = 0; i < TILE && top + i < m.height; i++)
      for (int j = 0; j < TILE && left + j < m.width; j++)
        store(maps + ((picture * m.height + top + i) * m.width + left + j) * m.channels + channel, to[i * TILE + j],
              count);
  }
}

// All tiles, from POINTS x POINTS planes of shape (tiles, channels).
void join_outputs(const REAL *planes, REAL *maps, Maps m) {
  const long tiles = m.batch * m.down * m.across;
#pragma omp parallel for schedule(static)
  for (long tile = 0; tile < tiles; tile++)
    join_tile(planes + tile * m.channels, tiles * m.channels, maps, tile, m);
}

// Evaluate kernels of shape (outputs, TAPS, TAPS, channels) at all points: POINTS x POINTS planes of shape (outputs, channels).
// They may be turned round before.
void evaluate_kernels(const REAL *weight, REAL *planes, long outputs, long channels, long turned) {
#pragma omp parallel for schedule(static)
  for (long output = 0; output < outputs; output++)
    for (long channel = 0; channel < channels; channel += LANES) {
      const long count = channels - channel < LANES ? channels - channel : LANES;
      lanes from[TAPS * TAPS], to[POINTS * POINTS];
      for (int tap = 0; tap < TAPS * TAPS; tap++) {
        const int place = turned ? TAPS * TAPS - 1 - tap : tap;
        from[place] = load(weight + (output * TAPS * TAPS + tap) * channels + channel, count);
      }
      kernel_tile(from, to);
      for (long k = 0; k < POINTS * POINTS; k++) store(planes + (k * outputs + output) * channels + channel, to[k], count);
    }
}

// The way back: the gradient of kernels from that at all points.
void interpolate_weight(const REAL *planes, REAL *weight, long outputs, long channels) {
#pragma omp parallel for schedule(static)
  for (long output = 0; output < outputs; output++)
    for (long channel = 0; channel < channels; channel += LANES) {
      const long count = channels - channel < LANES ? channels - channel : LANES;
      lanes from[POINTS * POINTS], to[TAPS * TAPS];
      for (long k = 0; k < POINTS * POINTS; k++) from[k] = load(planes + (k * outputs + output) * channels + channel, count);
      weight_tile(from, to);
      for (int tap = 0; tap < TAPS * TAPS; tap++)
        store(weight + (output * TAPS * TAPS + tap) * channels + channel, to[tap], count);
    }
}
