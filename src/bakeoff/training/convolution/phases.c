// Maps whose channels lie innermost, in blocks of stride x stride pixels: each block's pixels side by side, as channels of one.
//
// The text before this, written by phases.py, defines REAL.

#include <string.h>

typedef struct {
  long batch, height, width, channels; // of the maps
  long down, across, stride;           // blocks in each direction, and their side
  long filled;                         // channels of a block, the last of them zero
  long above, before;                  // pixels that the first block begins before the map
} Blocks;

static inline long least(long one, long other) { return one < other ? one : other; }
static inline long most(long one, long other) { return one > other ? one : other; }

// For each line of each block: which of its numbers lie in the map, from `start` to `stop`, and where there.
#define EACH_LINE(BODY)                                                                                                \
  _Pragma("omp parallel for schedule(static)") for (long row = 0; row < b.batch * b.down; row++) {                     \
    const long picture = row / b.down, length = b.stride * b.channels;                                                 \
    for (long column = 0; column < b.across; column++) {                                                               \
      REAL *block = blocks + (row * b.across + column) * b.filled;                                                     \
      const long left = column * b.stride - b.before;                                                                  \
      const long start = least(length, most(0, -left) * b.channels);                                                   \
      const long stop = most(start, least(length, (b.width - left) * b.channels));                                     \
      for (long line = 0; line < b.stride; line++) {                                                                   \
        const long y = row % b.down * b.stride - b.above + line;                                                       \
        const int inside = 0 <= y && y < b.height;                                                                     \
        REAL *numbers = block + line * length;                                                                         \
        const long place = ((picture * b.height + y) * b.width + left) * b.channels;                                   \
        BODY                                                                                                           \
      }                                                                                                                \
    }                                                                                                                  \
  }

// Gather blocks, zero outside the map.
void to_blocks(const REAL *maps, REAL *blocks, Blocks b) {
  EACH_LINE({
    if (line == 0) memset(block + b.stride * length, 0, (b.filled - b.stride * length) * sizeof(REAL));
    if (!inside || start == stop) memset(numbers, 0, length * sizeof(REAL));
    else {
      memset(numbers, 0, start * sizeof(REAL));
      memcpy(numbers + start, maps + place + start, (stop - start) * sizeof(REAL));
      memset(numbers + stop, 0, (length - stop) * sizeof(REAL));
    }
  })
}

// Scatter blocks; pixels that none reaches stay as they are.
void to_maps(REAL *blocks, REAL *maps, Blocks b) {
  EACH_LINE({
    if (inside) memcpy(maps + place + start, numbers + start, (stop - start) * sizeof(REAL));
  })
}
