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

// FIRST for each block, then LINE for each of its lines: which of the line's numbers lie in the map, from `start` to `stop`, and
// where there. The channels that fill a block come after its lines.
#define EACH_BLOCK(FIRST, LINE)                                                                                        \
  _Pragma("omp parallel for schedule(static)") for (long row = 0; row < b.batch * b.down; row++) {                     \
    const long picture = row / b.down, length = b.stride * b.channels;                                                 \
    for (long column = 0; column < b.across; column++) {                                                               \
      const long block = (row * b.across + column) * b.filled;                                                         \
      const long left = column * b.stride - b.before;                                                                  \
      const long start = least(length, most(0, -left) * b.channels);                                                   \
      const long stop = most(start, least(length, (b.width - left) * b.channels));                                     \
      FIRST                                                                                                            \
      for (long line = 0; line < b.stride; line++) {                                                                   \
        const long y = row % b.down * b.stride - b.above + line;                                                       \
        const int inside = 0 <= y && y < b.height && start < stop;                                                     \
        const long numbers = block + line * length, place = ((picture * b.height + y) * b.width + left) * b.channels;  \
        LINE                                                                                                           \
      }                                                                                                                \
    }                                                                                                                  \
  }

// Gather blocks, zero outside the map.
void to_blocks(const REAL *maps, REAL *blocks, Blocks b) {
  EACH_BLOCK(memset(blocks + block, 0, b.filled * sizeof(REAL));
             , if (inside) memcpy(blocks + numbers + start, maps + place + start, (stop - start) * sizeof(REAL));)
}

// Scatter blocks; pixels that none reaches stay as they are.
void to_maps(const REAL *blocks, REAL *maps, Blocks b) {
  EACH_BLOCK(, if (inside) memcpy(maps + place + start, blocks + numbers + start, (stop - start) * sizeof(REAL));)
}
