// Vectors of float32, LANES at once, read from and written to numbers of another type in memory.
//
// The text before this, written by lanes.py, defines VALUE (the type of a number in memory) and for bfloat16 NARROW.

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16 // channels at once: as many float32 as a register holds
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

// For what is made anew for each of several constants.
#define INLINE static inline __attribute__((always_inline))

INLINE long least(long one, long other) { return one < other ? one : other; }
INLINE long most(long one, long other) { return one > other ? one : other; }
INLINE long rounded_up(long value, long by) { return value <= 0 ? 0 : (value + by - 1) / by; } // of a quotient

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef int32_t bits __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4)));
typedef uint32_t words __attribute__((vector_size(LANES * sizeof(uint32_t)), aligned(4)));
typedef VALUE values __attribute__((vector_size(LANES * sizeof(VALUE)), aligned(sizeof(VALUE))));

static inline values read_values(const VALUE *from, long count) {
  if (count == LANES) return *(const values *)from;
  values some = {0};
  memcpy(&some, from, count * sizeof(VALUE));
  return some;
}

static inline void write_values(VALUE *to, values value, long count) {
  if (count == LANES) *(values *)to = value;
  else memcpy(to, &value, count * sizeof(VALUE));
}

static inline lanes widened(values some) {
#ifdef NARROW // bfloat16 is the upper half of a float32
  return (lanes)(__builtin_convertvector(some, words) << 16);
#else
  return some;
#endif
}

static inline values narrowed(lanes value) {
#ifdef NARROW // to the nearest, halves to the even one; what is not a number stays so
  const words whole = (words)value;
  const words rounded = (whole + 0x7fff + ((whole >> 16) & 1)) >> 16;
  const words strange = (words)(value != value);
  return __builtin_convertvector((rounded & ~strange) | (0x7fc0 & strange), values);
#else
  return value;
#endif
}

static inline lanes load(const VALUE *from, long count) { return widened(read_values(from, count)); }

static inline lanes load_floats(const float *from, long count) {
  if (count == LANES) return *(const lanes *)from;
  lanes some = {0};
  memcpy(&some, from, count * sizeof(float));
  return some;
}
