// Batch normalisation with the activation after it, of maps whose channels lie innermost: shape (rows, channels), a row
// for each pixel of each picture.
//
// Before this stand lanes.c and, where the activation is the Gaussian error or the sigmoid linear unit, a definition of GELU
// or SILU; otherwise it clips. Arithmetic is float32, sums over rows are float64 in the end; they are added up in an order
// that depends neither on the threads nor on their number.

#include <math.h>

#define CHUNK 512 // rows that are summed in float32 before the sum goes to float64

#if defined(GELU) || defined(SILU)
#define CURVE
#define PASSED 1 // what passes the activation is written once, and read again
#else
#define PASSED 0
#endif

// value where which is set, else other
static inline lanes either(bits which, lanes value, lanes other) {
  return (lanes)(((bits)value & which) | ((bits)other & ~which));
}

typedef struct {
  long rows, channels;
  float low, high; // of the activation: minus and plus infinity where there is none
  float momentum;  // with which running statistics follow
  float epsilon;   // added to variances
} Layer;

// What the way back needs of a channel: outputs = activation((inputs - mean) * scale + bias). Taking the mean from the inputs
// first keeps the digits of those that lie close together far from zero; what it lost in float32 is made up for apart.
typedef struct {
  float *scale, *bias, *mean, *inverse;
  float *lost; // the mean in float32 less the mean
} Kept;

static inline Kept kept_at(float *kept, Layer s) {
  const long n = s.channels;
  return (Kept){kept, kept + n, kept + 2 * n, kept + 3 * n, kept + 4 * n};
}

static inline long chunks_of(Layer s) { return (s.rows + CHUNK - 1) / CHUNK; }

// The two sums of a channel over all rows, from those over each chunk.
static inline void add_up(const float *partial, long channel, Layer s, double *first, double *second) {
  *first = *second = 0;
  for (long chunk = 0; chunk < chunks_of(s); chunk++) {
    *first += partial[(2 * chunk) * s.channels + channel];
    *second += partial[(2 * chunk + 1) * s.channels + channel];
  }
}

// BODY for some lines of channels at once, four wherever there are as many: the more a row gives at a time, the faster
// memory is read.
#define EACH_BLOCK(BODY)                                                                                               \
  for (long channel = 0; channel < s.channels;) {                                                                      \
    const long left = s.channels - channel, count = left < LANES ? left : LANES;                                       \
    if (left >= 4 * LANES) {                                                                                           \
      BODY(4);                                                                                                         \
      channel += 4 * LANES;                                                                                            \
    } else if (left >= 2 * LANES) {                                                                                    \
      BODY(2);                                                                                                         \
      channel += 2 * LANES;                                                                                            \
    } else {                                                                                                           \
      BODY(1);                                                                                                         \
      channel += LANES;                                                                                                \
    }                                                                                                                  \
  }

// The sums of x - pivot and of its square over some rows, for `lines` lines of channels of which a single one may have fewer
// than LANES.
INLINE void measure_block(const VALUE *inputs, const VALUE *pivots, float *sums, long rows, long count, const int lines,
                          Layer s) {
  lanes pivot[4], first[4] = {0}, second[4] = {0}, other_first[4] = {0}, other_second[4] = {0};
  for (int line = 0; line < lines; line++) pivot[line] = load(pivots + line * LANES, count);
  long row = 0;
  for (; row + 1 < rows; row += 2) {
    for (int line = 0; line < lines; line++) {
      const lanes one = load(inputs + row * s.channels + line * LANES, count) - pivot[line];
      first[line] += one, second[line] += one * one;
    }
    for (int line = 0; line < lines; line++) {
      const lanes other = load(inputs + (row + 1) * s.channels + line * LANES, count) - pivot[line];
      other_first[line] += other, other_second[line] += other * other;
    }
  }
  for (int line = 0; line < lines; line++) {
    if (row < rows) {
      const lanes one = load(inputs + row * s.channels + line * LANES, count) - pivot[line];
      first[line] += one, second[line] += one * one;
    }
    first[line] += other_first[line], second[line] += other_second[line];
    memcpy(sums + line * LANES, &first[line], count * sizeof(float));
    memcpy(sums + s.channels + line * LANES, &second[line], count * sizeof(float));
  }
}

// For each chunk, the sums of x - pivot and of its square, with the first row as the pivot: squares of small numbers lose
// no digits.
static void measure(const VALUE *inputs, float *partial, Layer s) {
#pragma omp parallel for schedule(static)
  for (long chunk = 0; chunk < chunks_of(s); chunk++) {
    const long start = chunk * CHUNK, rows = start + CHUNK < s.rows ? CHUNK : s.rows - start;
    const VALUE *from = inputs + start * s.channels;
    float *sums = partial + 2 * chunk * s.channels;
#define BLOCK(LINES) measure_block(from + channel, inputs + channel, sums + channel, rows, count, LINES, s)
    EACH_BLOCK(BLOCK)
#undef BLOCK
  }
}

// The activation, and the gradient that passes it where its input is value.
#ifdef CURVE
// exp(value) for values up to 0: a power of two times the exponential's series about 0, to the sixth power. Where it would be
// less than float32 holds to its full precision, it is 0, so that no large number times it is anything.
static inline lanes exponential(lanes value) {
  const bits vanishing = value < -87.0f;
  value = either(vanishing, (lanes){0}, value);
  const lanes to_whole = (lanes){0} + 12582912.0f; // 1.5 * 2^23: what is added to it loses its fraction
  const lanes power = (value * 1.44269504f + to_whole) - to_whole;
  const lanes rest = (value - power * 0.693359375f) + power * 2.12194440e-4f; // ln 2 in two parts
  lanes series = rest * (1.0f / 720) + 1.0f / 120;
  series = series * rest + 1.0f / 24;
  series = series * rest + 1.0f / 6;
  series = series * rest + 0.5f;
  series = (series * rest + 1) * rest + 1;
  return either(vanishing, (lanes){0}, (lanes)((bits)series + (__builtin_convertvector(power, bits) << 23)));
}
#endif

#if defined(GELU)
typedef struct {
  lanes share, density; // of the normal distribution: below a value, and at it
} Normal;

// By Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 7.1.26: the share is off by less than 1e-7.
static inline Normal normal(lanes value) {
  const lanes power = exponential(-0.5f * value * value);
  const lanes size = (lanes)((bits)value & 0x7fffffff);
  const lanes t = 1 / (1 + 0.231641888f * size); // 0.3275911 / sqrt(2)
  lanes tail = 0.5307027145f * t - 0.7265760135f; // half of the published coefficients
  tail = tail * t + 0.7107068705f;
  tail = tail * t - 0.142248368f;
  tail = (tail * t + 0.127414796f) * t * power;
  return (Normal){either(value < 0, tail, 1 - tail), 0.398942280f * power};
}

static inline lanes activated(lanes value, Layer s) { return value * normal(value).share; }

static inline lanes passed(lanes gradient, lanes value, Layer s) {
  const Normal at = normal(value);
  return gradient * (at.share + value * at.density);
}
#elif defined(SILU)
static inline lanes sigmoid(lanes value) {
  const lanes power = exponential(-(lanes)((bits)value & 0x7fffffff)), share = 1 / (1 + power);
  return either(value < 0, power * share, share);
}

static inline lanes activated(lanes value, Layer s) { return value * sigmoid(value); }

static inline lanes passed(lanes gradient, lanes value, Layer s) {
  const lanes share = sigmoid(value);
  return gradient * share * (1 + value * (1 - share));
}
#else
// What lies outside low and high is brought to them; what is not a number stays so.
static inline lanes activated(lanes value, Layer s) {
  const lanes raised = either(value <= s.low, (lanes){0} + s.low, value);
  return either(value >= s.high, (lanes){0} + s.high, raised);
}

static inline lanes passed(lanes gradient, lanes value, Layer s) {
  return (lanes)((bits)gradient & (value > s.low) & (value < s.high));
}
#endif

// outputs = activation((inputs - mean) * scale + bias + added)
INLINE void apply_adding(const VALUE *inputs, const VALUE *added, VALUE *outputs, const float *scale, const float *mean,
                         const float *bias, const int adding, Layer s) {
#pragma omp parallel for schedule(static)
  for (long row = 0; row < s.rows; row++)
    for (long channel = 0; channel < s.channels; channel += LANES) {
      const long count = s.channels - channel < LANES ? s.channels - channel : LANES, at = row * s.channels + channel;
      const lanes centred = load(inputs + at, count) - load_floats(mean + channel, count);
      lanes value = centred * load_floats(scale + channel, count) + load_floats(bias + channel, count);
      if (adding) value += load(added + at, count);
      write_values(outputs + at, narrowed(activated(value, s)), count);
    }
}

// added may be nothing.
void apply(const VALUE *inputs, const VALUE *added, VALUE *outputs, const float *scale, const float *mean,
           const float *bias, Layer s) {
  if (added) apply_adding(inputs, added, outputs, scale, mean, bias, 1, s);
  else apply_adding(inputs, NULL, outputs, scale, mean, bias, 0, s);
}

// The weight, bias and running statistics of a layer, and what its way back needs: one number for each channel, of kept five.
typedef struct {
  const float *weight, *bias;
  float *running_mean, *running_variance, *kept;
} Parameters;

// Keep of a channel what decides its outputs, given the sums of x - pivot and of its square over all rows; the running
// statistics follow.
static inline void settle(double first, double second, const VALUE *pivots, long channel, Parameters p, Layer s) {
  const Kept k = kept_at(p.kept, s);
  const double moved = first / s.rows, mean = widened(read_values(pivots + channel, 1))[0] + moved;
  double variance = second / s.rows - moved * moved;
  if (variance < 0) variance = 0;
  const double inverse = 1 / sqrt(variance + s.epsilon);
  p.running_mean[channel] += s.momentum * (float)(mean - p.running_mean[channel]);
  p.running_variance[channel] += s.momentum * (float)(variance * s.rows / (s.rows - 1) - p.running_variance[channel]);
  k.mean[channel] = mean, k.inverse[channel] = inverse;
  k.scale[channel] = p.weight[channel] * inverse;
  const double lost = k.mean[channel] - mean;
  k.lost[channel] = lost, k.bias[channel] = p.bias[channel] + lost * p.weight[channel] * inverse;
}

// Measure the whole batch and settle each channel.
static void settle_by(const VALUE *inputs, float *partial, Parameters p, Layer s) {
  measure(inputs, partial, s);
  for (long channel = 0; channel < s.channels; channel++) {
    double first, second;
    add_up(partial, channel, s, &first, &second);
    settle(first, second, inputs, channel, p, s);
  }
}

static inline void apply_kept(const VALUE *inputs, const VALUE *added, VALUE *outputs, Kept k, Layer s) {
  apply(inputs, added, outputs, k.scale, k.mean, k.bias, s);
}

// Normalise by the batch, and let the running statistics follow it. added may be nothing.
void forward(const VALUE *inputs, const VALUE *added, VALUE *outputs, float *partial, Parameters p, Layer s) {
  settle_by(inputs, partial, p, s);
  apply_kept(inputs, added, outputs, kept_at(p.kept, s), s);
}

// The sums of the gradient that passes the activation, and of its product with x - mean, over some rows; lines as above. What
// passes is written down after a curve, since it takes longer to find than to read again, and where something was added, since
// it is the gradient of that. There, `known` tells what passes: what was added to a curve's inputs, the outputs of what clips.
INLINE void measure_gradient_block(const VALUE *inputs, const VALUE *known, const VALUE *gradients, VALUE *passing, Kept k,
                                   float *sums, long channel, long rows, long count, const int lines, const int adding,
                                   Layer s) {
  lanes scale[4], bias[4], mean[4], first[4] = {0}, second[4] = {0};
  for (int line = 0; line < lines; line++) {
    scale[line] = load_floats(k.scale + channel + line * LANES, count);
    bias[line] = load_floats(k.bias + channel + line * LANES, count);
    mean[line] = load_floats(k.mean + channel + line * LANES, count);
  }
  for (long row = 0; row < rows; row++)
    for (int line = 0; line < lines; line++) {
      const long at = row * s.channels + channel + line * LANES;
      const lanes centred = load(inputs + at, count) - mean[line];
      lanes value = centred * scale[line] + bias[line];
      if (adding) value = PASSED ? value + load(known + at, count) : load(known + at, count);
      const lanes gradient = passed(load(gradients + at, count), value, s);
      first[line] += gradient, second[line] += gradient * centred;
      if (PASSED || adding) write_values(passing + at, narrowed(gradient), count);
    }
  for (int line = 0; line < lines; line++) {
    memcpy(sums + channel + line * LANES, &first[line], count * sizeof(float));
    memcpy(sums + s.channels + channel + line * LANES, &second[line], count * sizeof(float));
  }
}

INLINE void measure_gradient_adding(const VALUE *inputs, const VALUE *known, const VALUE *gradients, VALUE *passing,
                                    Kept k, float *partial, const int adding, Layer s) {
#pragma omp parallel for schedule(static)
  for (long chunk = 0; chunk < chunks_of(s); chunk++) {
    const long start = chunk * CHUNK, rows = start + CHUNK < s.rows ? CHUNK : s.rows - start, from = start * s.channels;
    float *sums = partial + 2 * chunk * s.channels;
#define BLOCK(LINES)                                                                                                   \
  measure_gradient_block(inputs + from, adding ? known + from : NULL, gradients + from, passing + from, k, sums, channel, \
                         rows, count, LINES, adding, s)
    EACH_BLOCK(BLOCK)
#undef BLOCK
  }
}

static void measure_gradient(const VALUE *inputs, const VALUE *known, const VALUE *gradients, VALUE *passing, Kept k,
                             float *partial, Layer s) {
  if (known) measure_gradient_adding(inputs, known, gradients, passing, k, partial, 1, s);
  else measure_gradient_adding(inputs, NULL, gradients, passing, k, partial, 0, s);
}

// The gradients of a layer's weight and bias, and what those of its inputs are made of: passed gradient * scale +
// (inputs - mean) * slope + constant, as an input moves its own normalised value, and the batch's mean and deviation with it.
// One number for each channel.
typedef struct {
  float *to_weight, *to_bias, *slope, *constant;
} Gradients;

// Settle a channel's, given the sums of the gradient that passes and of its product with x - mean over all rows.
static inline void settle_gradient(double first, double second, long channel, Kept k, Gradients g, Layer s) {
  second += k.lost[channel] * first;
  g.to_bias[channel] = first, g.to_weight[channel] = second * k.inverse[channel];
  const double steepness = -(double)k.scale[channel] * k.inverse[channel] * k.inverse[channel] * second / s.rows;
  g.slope[channel] = steepness;
  g.constant[channel] = -(double)k.scale[channel] * first / s.rows + k.lost[channel] * steepness;
}

// Measure the gradients of the whole batch and settle each channel.
static void settle_gradient_by(const VALUE *inputs, const VALUE *known, const VALUE *gradients, VALUE *passing,
                               float *partial, Kept k, Gradients g, Layer s) {
  measure_gradient(inputs, known, gradients, passing, k, partial, s);
  for (long channel = 0; channel < s.channels; channel++) {
    double first, second;
    add_up(partial, channel, s, &first, &second);
    settle_gradient(first, second, channel, k, g, s);
  }
}

// The gradient of one row's inputs at some channels; gradients are those of the outputs, or what of them has passed already.
INLINE lanes to_input_of(const VALUE *inputs, const VALUE *gradients, Kept k, Gradients g, long channel, long count,
                         const int passed_already, Layer s) {
  const lanes centred = load(inputs, count) - load_floats(k.mean + channel, count);
  const lanes scale = load_floats(k.scale + channel, count);
  lanes gradient = load(gradients, count);
  if (!passed_already) gradient = passed(gradient, centred * scale + load_floats(k.bias + channel, count), s);
  return gradient * scale + centred * load_floats(g.slope + channel, count) + load_floats(g.constant + channel, count);
}

// The same; after a curve, gradients are what has passed it.
static inline lanes to_input(const VALUE *inputs, const VALUE *gradients, Kept k, Gradients g, long channel, long count,
                             Layer s) {
  return to_input_of(inputs, gradients, k, g, channel, count, PASSED, s);
}

INLINE void to_all_inputs(const VALUE *inputs, const VALUE *gradients, VALUE *to_inputs, Kept k, Gradients g,
                          const int passed_already, Layer s) {
#pragma omp parallel for schedule(static)
  for (long row = 0; row < s.rows; row++)
    for (long channel = 0; channel < s.channels; channel += LANES) {
      const long count = s.channels - channel < LANES ? s.channels - channel : LANES, at = row * s.channels + channel;
      const lanes found = to_input_of(inputs + at, gradients + at, k, g, channel, count, passed_already, s);
      write_values(to_inputs + at, narrowed(found), count);
    }
}

// The gradients of all inputs. They may take the place of the gradients they are made of.
static void to_inputs_of(const VALUE *inputs, const VALUE *gradients, VALUE *to_inputs, Kept k, Gradients g, Layer s) {
  to_all_inputs(inputs, gradients, to_inputs, k, g, PASSED, s);
}

// The gradients of inputs, weight and bias. What passes is written where measure_gradient_block says: passing may be where the
// gradients of the inputs come, unless something was added, of which it is the gradient.
void backward(const VALUE *inputs, const VALUE *known, const VALUE *gradients, VALUE *passing, VALUE *to_inputs,
              float *kept, float *partial, Gradients g, Layer s) {
  const Kept k = kept_at(kept, s);
  settle_gradient_by(inputs, known, gradients, passing, partial, k, g, s);
  if (known) to_all_inputs(inputs, passing, to_inputs, k, g, 1, s);
  else to_inputs_of(inputs, PASSED ? passing : gradients, to_inputs, k, g, s);
}
