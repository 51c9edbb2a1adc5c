// Products of matrices by one thread, from operands that stay in its core's caches.
//
// The text before this defines REAL, the type of a number.

#include <string.h>

#if defined(__AVX512F__)
#define REGISTER 64 // bytes
#define MOST_ROWS 12 // of a product that are computed at once: two registers of sums each, as many as there are, less some
#elif defined(__AVX__)
#define REGISTER 32
#define MOST_ROWS 6
#else
#define REGISTER 16
#define MOST_ROWS 6
#endif

#define WIDTH (REGISTER / (long)sizeof(REAL)) // numbers in a register

typedef REAL line __attribute__((vector_size(REGISTER), aligned(sizeof(REAL))));

#define EACH static inline __attribute__((always_inline)) void // made anew for each number of rows and lines

// BODY(rows) for some rows at once, from row 0 to `all`, as many as there may be.
#define EACH_ROWS(ALL, BODY)                                                                                           \
  for (long row = 0; row < (ALL);) {                                                                                   \
    const long rest = (ALL) - row;                                                                                     \
    if (rest >= MOST_ROWS) {                                                                                           \
      BODY(MOST_ROWS);                                                                                                 \
      row += MOST_ROWS;                                                                                                \
    } else if (rest >= 4) {                                                                                            \
      BODY(4);                                                                                                         \
      row += 4;                                                                                                        \
    } else if (rest >= 2) {                                                                                            \
      BODY(2);                                                                                                         \
      row += 2;                                                                                                        \
    } else {                                                                                                           \
      BODY(1);                                                                                                         \
      row += 1;                                                                                                        \
    }                                                                                                                  \
  }

// Write the columns of a matrix of shape (depth, columns), its numbers so many apart, side by side two lines at a time: as
// multiply reads them. columns is a multiple of WIDTH.
static inline void pack(const REAL *matrix, REAL *packed, long depth, long columns, long to_next_row, long to_next_column) {
  for (long first = 0; first < columns; first += 2 * WIDTH) {
    const long width = columns - first < 2 * WIDTH ? columns - first : 2 * WIDTH;
    for (long row = 0; row < depth; row++)
      for (long column = 0; column < width; column++)
        packed[first * depth + row * width + column] = matrix[row * to_next_row + (first + column) * to_next_column];
  }
}

EACH multiply_block(const REAL *left, const REAL *packed, REAL *product, long depth, long columns, const int rows,
                     const int lines) {
  line sums[MOST_ROWS][2];
  for (int row = 0; row < rows; row++)
    for (int i = 0; i < lines; i++) sums[row][i] = (line){0};
  for (long k = 0; k < depth; k++) {
    line right[2];
    for (int i = 0; i < lines; i++) right[i] = *(const line *)(packed + (k * lines + i) * WIDTH);
    _Pragma("GCC unroll 16") for (int row = 0; row < rows; row++)
      for (int i = 0; i < lines; i++) sums[row][i] += left[row * depth + k] * right[i];
  }
  for (int row = 0; row < rows; row++)
    for (int i = 0; i < lines; i++) *(line *)(product + row * columns + i * WIDTH) = sums[row][i];
}

// product = left times right, of shapes (rows, columns), (rows, depth) and (depth, columns); right is packed.
static inline void multiply(const REAL *left, const REAL *packed, REAL *product, long rows, long depth, long columns) {
  for (long column = 0; column < columns; column += 2 * WIDTH) {
#define TWO(ROWS) multiply_block(left + row * depth, packed + column * depth, product + row * columns + column, depth, columns, ROWS, 2)
#define ONE(ROWS) multiply_block(left + row * depth, packed + column * depth, product + row * columns + column, depth, columns, ROWS, 1)
    if (columns - column >= 2 * WIDTH) EACH_ROWS(rows, TWO) else EACH_ROWS(rows, ONE)
#undef TWO
#undef ONE
  }
}

EACH accumulate_block(const REAL *left, const REAL *right, REAL *packed, long depth, long all_rows, long columns,
                       const int rows, const int lines) {
  line sums[MOST_ROWS][2];
  for (int row = 0; row < rows; row++)
    for (int i = 0; i < lines; i++) sums[row][i] = *(const line *)(packed + (row * lines + i) * WIDTH);
  for (long k = 0; k < depth; k++) {
    line of_right[2];
    for (int i = 0; i < lines; i++) of_right[i] = *(const line *)(right + k * columns + i * WIDTH);
    _Pragma("GCC unroll 16") for (int row = 0; row < rows; row++)
      for (int i = 0; i < lines; i++) sums[row][i] += left[k * all_rows + row] * of_right[i];
  }
  for (int row = 0; row < rows; row++)
    for (int i = 0; i < lines; i++) *(line *)(packed + (row * lines + i) * WIDTH) = sums[row][i];
}

// Sums of shape (rows, columns) += the transpose of left times right, of shapes (depth, rows) and (depth, columns). They are
// kept in the order in which they are computed.
static inline void accumulate(const REAL *left, const REAL *right, REAL *packed, long depth, long rows, long columns) {
  for (long column = 0; column < columns; column += 2 * WIDTH) {
#define BODY(ROWS, LINES)                                                                                              \
  accumulate_block(left + row, right + column, packed + column * rows + row * LINES * WIDTH, depth, rows, columns, ROWS, \
                   LINES)
#define TWO(ROWS) BODY(ROWS, 2)
#define ONE(ROWS) BODY(ROWS, 1)
    if (columns - column >= 2 * WIDTH) EACH_ROWS(rows, TWO) else EACH_ROWS(rows, ONE)
#undef BODY
#undef TWO
#undef ONE
  }
}

// Write the sums that accumulate keeps as a matrix.
static inline void unpack(const REAL *packed, REAL *matrix, long rows, long columns) {
  for (long column = 0; column < columns; column += 2 * WIDTH) {
    const long width = columns - column < 2 * WIDTH ? columns - column : 2 * WIDTH;
    for (long row = 0; row < rows; row++)
      memcpy(matrix + row * columns + column, packed + column * rows + row * width, width * sizeof(REAL));
  }
}
