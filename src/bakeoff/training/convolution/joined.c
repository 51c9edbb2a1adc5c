// A depthwise convolution joined with the batch normalisations before and after it, and their activations. Maps lie with
// their channels innermost: shape (batch, height, width, channels). Before this stand lanes.c, normalization.c and a
// definition of TAPS, the kernel's size both ways.
//
// A picture is walked through line by line. What the convolution reads is made from a line that was just fetched, and what
// is measured of its outputs is measured before they leave the caches; so a map is fetched once where layers by themselves
// fetch it three times. Each picture's sums are kept apart and added up in order: they do not depend on the threads.
//
// Channels are taken a block of LANES at a time, the last one overlapping the one before where they do not divide: what lies
// in both is computed twice, alike. Sums have a slot for each lane of each block.

#define AHEAD (24 * 1024) // bytes before a place is written that it is asked for: a quarter faster than without, on AVX2
#define SEGMENT 4096      // floats of a line that all channels are taken of before going on: they stay in the first cache

int omp_get_thread_num(void);

typedef struct {
  long batch, channels;
  long height, width; // of the inputs
  long output_height, output_width;
  long stride, padding; // both ways alike
} Maps;

// What all pictures of a pass share.
typedef struct {
  Maps m;
  Layer s, t;         // the normalisations before and after
  Kept before, after; // what they keep
  const float *taps;  // shape (TAPS x TAPS, channels)
  double *sums;       // shape (batch, 2, channels), zero when a pass begins
  float *scratch;     // for each thread, zero when a pass begins
  long threads;
} Pass;

#define EACH_BLOCK_OF(CHANNELS)                                                                                        \
  for (long slot = 0, channel = 0; slot < (CHANNELS); slot += LANES, channel = least(slot, (CHANNELS) - LANES))

static inline long slots(Maps m) { return rounded_up(m.channels, LANES) * LANES; }
static inline long slot_of(long channel, Maps m) {
  const long slot = channel / LANES * LANES;
  return slot + channel - least(slot, m.channels - LANES);
}

// The last TAPS lines of a picture that were made, as float32 with zeros on both sides. Other lines that a kernel reaches for
// lie outside the picture: one of zeros, behind them, stands for each.
typedef struct {
  float *lines;
  long height, width, channels; // of the picture
  long made;                    // lines that were made so far
} Window;

#define MARGIN TAPS // pixels of zeros on either side of a line

static inline long line_length(long width, Maps m) { return (width + 2 * MARGIN) * m.channels; }

static inline float *line_of(Window *window, long line) {
  const long place = line < 0 || line >= window->height ? TAPS : line % TAPS;
  return window->lines + (place * (window->width + 2 * MARGIN) + MARGIN) * window->channels;
}

// Floats of scratch that a thread needs: two windows, and two sums over a line for each slot.
long scratch_length(Maps m) {
  return (TAPS + 1) * (line_length(m.width, m) + line_length(m.output_width, m)) + 2 * slots(m);
}

typedef struct {
  Window inputs, gradients; // as the convolution reads them: activated inputs, and gradients of its outputs
  float *line_sums;
} Scratch;

static Scratch scratch_of_thread(Pass p) {
  const Maps m = p.m;
  float *at = p.scratch + omp_get_thread_num() * scratch_length(m);
  float *gradients = at + (TAPS + 1) * line_length(m.width, m);
  return (Scratch){{at, m.height, m.width, m.channels, 0},
                   {gradients, m.output_height, m.output_width, m.channels, 0},
                   gradients + (TAPS + 1) * line_length(m.output_width, m)};
}

// Make the lines of a picture up to one as the convolution reads them, normalised and activated.
INLINE void make_inputs(Window *window, const VALUE *picture, long until, const int normalised, Pass p) {
  const long channels = p.m.channels;
  for (; window->made <= least(until, window->height - 1); window->made++) {
    const VALUE *from = picture + window->made * window->width * channels;
    float *to = line_of(window, window->made);
    for (long at = 0; at < window->width * channels; at += channels)
      EACH_BLOCK_OF(channels) {
        lanes value = load(from + at + channel, LANES);
        if (normalised) {
          const lanes centred = value - *(const lanes *)(p.before.mean + channel);
          value = activated(centred * *(const lanes *)(p.before.scale + channel) +
                                *(const lanes *)(p.before.bias + channel), p.s);
        }
        *(lanes *)(to + at + channel) = value;
      }
  }
}

// The lines that the taps of one line of outputs meet, made where they have not been.
INLINE void inputs_of_line(long down, Window *window, const float *lines[TAPS], const VALUE *picture,
                           const int normalised, Pass p) {
  const long top = down * p.m.stride - p.m.padding;
  make_inputs(window, picture, top + TAPS - 1, normalised, p);
  for (int row = 0; row < TAPS; row++) lines[row] = line_of(window, top + row);
}

// Add sums over a line to those over a picture, where they are wanted, and begin anew.
static void flush(float *line_sums, double *sums, Maps m) {
  for (long which = 0; sums && which < 2; which++)
    for (long channel = 0; channel < m.channels; channel++)
      sums[which * m.channels + channel] += line_sums[which * slots(m) + slot_of(channel, m)];
  memset(line_sums, 0, 2 * slots(m) * sizeof(float));
}

// The outputs of one block of channels in part of a line, and the sums of output - pivot and of its square.
INLINE void filter_part(const float *lines[TAPS], const float *taps, VALUE *to, const VALUE *pivots, float *line_sums,
                        long begin, long end, long slot, long channel, Maps m) {
  lanes tap[TAPS][TAPS], first = *(lanes *)(line_sums + slot), second = *(lanes *)(line_sums + slots(m) + slot);
  const lanes pivot = load(pivots + channel, LANES);
  for (int row = 0; row < TAPS; row++)
    for (int column = 0; column < TAPS; column++)
      tap[row][column] = *(const lanes *)(taps + (row * TAPS + column) * m.channels + channel);
  for (long x = begin; x < end; x++) {
    lanes all = {0};
#pragma GCC unroll 7
    for (int row = 0; row < TAPS; row++) { // each row by itself, so that they need not wait for each other
      const float *from = lines[row] + (x * m.stride - m.padding) * m.channels + channel;
      lanes sum = tap[row][0] * *(const lanes *)from;
#pragma GCC unroll 7
      for (int column = 1; column < TAPS; column++)
        sum += tap[row][column] * *(const lanes *)(from + column * m.channels);
      all = row ? all + sum : sum;
    }
    const values written = narrowed(all);
    const lanes moved = widened(written) - pivot;
    first += moved, second += moved * moved;
    VALUE *place = to + x * m.channels + channel;
    *(values *)place = written;
    __builtin_prefetch((char *)place + AHEAD, 1);
  }
  *(lanes *)(line_sums + slot) = first, *(lanes *)(line_sums + slots(m) + slot) = second;
}

static void filter_line(const float *lines[TAPS], const float *taps, VALUE *to, const VALUE *pivots, float *line_sums,
                        long outputs, Maps m) {
  const long step = most(8, SEGMENT / m.channels);
  for (long begin = 0; begin < outputs; begin += step)
    EACH_BLOCK_OF(m.channels)
      filter_part(lines, taps, to, pivots, line_sums, begin, least(begin + step, outputs), slot, channel, m);
}

// Some lines of a picture's outputs, and their sums where they are wanted.
INLINE void filter_picture(const VALUE *picture, VALUE *to, const VALUE *pivots, double *sums, long height, long width,
                           const int normalised, Pass p) {
  Scratch scratch = scratch_of_thread(p);
  for (long down = 0; down < height; down++) {
    const float *lines[TAPS];
    inputs_of_line(down, &scratch.inputs, lines, picture, normalised, p);
    filter_line(lines, p.taps, to + down * width * p.m.channels, pivots, scratch.line_sums, width, p.m);
    flush(scratch.line_sums, sums, p.m);
  }
}

INLINE void filter(const VALUE *inputs, VALUE *middle, VALUE *pivots, const int normalised, Pass p) {
  const Maps m = p.m;
  const long in = m.height * m.width * m.channels, out = m.output_height * m.output_width * m.channels;
  // The very first output: squares of numbers close to it lose no digits.
  filter_picture(inputs, pivots, pivots, NULL, 1, 1, normalised, p);
#pragma omp parallel for schedule(static) num_threads(p.threads)
  for (long picture = 0; picture < m.batch; picture++)
    filter_picture(inputs + picture * in, middle + picture * out, pivots, p.sums + 2 * picture * m.channels,
                   m.output_height, m.output_width, normalised, p);
}

// The sums of a channel over all pictures.
static inline void add_pictures(long channel, Pass p, double *first, double *second) {
  *first = *second = 0;
  for (long picture = 0; picture < p.m.batch; picture++) {
    *first += p.sums[2 * picture * p.m.channels + channel];
    *second += p.sums[(2 * picture + 1) * p.m.channels + channel];
  }
}

// Normalise, activate, convolve, normalise and activate. The first normalisation is left out where nothing is kept of it.
//
//   middle: The convolution's outputs, which the way back needs.
//   pivots: Room for one number of each channel, zero at first.
//   partial: Room for the sums over chunks of the inputs.
void joined_forward(const VALUE *inputs, VALUE *middle, VALUE *outputs, const float *taps, VALUE *pivots, float *partial,
                    double *sums, float *scratch, long threads, Parameters before, Parameters after, Maps m, Layer s,
                    Layer t) {
  const Pass p = {m, s, t, kept_at(before.kept, s), kept_at(after.kept, t), taps, sums, scratch, threads};
  if (before.kept) {
    settle_by(inputs, partial, before, s);
    filter(inputs, middle, pivots, 1, p);
  } else
    filter(inputs, middle, pivots, 0, p);
  for (long channel = 0; channel < m.channels; channel++) {
    double first, second;
    add_pictures(channel, p, &first, &second);
    settle(first, second, pivots, channel, after, t);
  }
  apply_kept(middle, NULL, outputs, p.after, t);
}

// Make the next line of the gradients of the convolution's outputs.
static void make_gradients(Window *window, const VALUE *middle, const VALUE *gradients, Gradients after, Pass p) {
  const long channels = p.m.channels, start = window->made * window->width * channels;
  float *to = line_of(window, window->made);
  for (long at = 0; at < window->width * channels; at += channels)
    EACH_BLOCK_OF(channels)
      *(lanes *)(to + at + channel) = to_input(middle + start + at + channel, gradients + start + at + channel, p.after,
                                               after, channel, LANES, p.t);
  window->made++;
}

// What one block of channels in part of a line of outputs adds to the gradients of the taps.
INLINE void weight_part(const float *lines[TAPS], const float *gradients, float *to_taps, long begin, long end, long slot,
                        long channel, Maps m) {
  lanes sum[TAPS][TAPS];
  for (int row = 0; row < TAPS; row++)
    for (int column = 0; column < TAPS; column++)
      sum[row][column] = *(lanes *)(to_taps + (row * TAPS + column) * slots(m) + slot);
  for (long x = begin; x < end; x++) {
    const lanes gradient = *(const lanes *)(gradients + x * m.channels + channel);
#pragma GCC unroll 7
    for (int row = 0; row < TAPS; row++) {
      const float *from = lines[row] + (x * m.stride - m.padding) * m.channels + channel;
#pragma GCC unroll 7
      for (int column = 0; column < TAPS; column++)
        sum[row][column] += gradient * *(const lanes *)(from + column * m.channels);
    }
  }
  for (int row = 0; row < TAPS; row++)
    for (int column = 0; column < TAPS; column++)
      *(lanes *)(to_taps + (row * TAPS + column) * slots(m) + slot) = sum[row][column];
}

static void weight_line(const float *lines[TAPS], const float *gradients, float *to_taps, Maps m) {
  const long step = most(8, SEGMENT / m.channels);
  for (long begin = 0; begin < m.output_width; begin += step)
    EACH_BLOCK_OF(m.channels)
      weight_part(lines, gradients, to_taps, begin, least(begin + step, m.output_width), slot, channel, m);
}

// The gradients of one block of channels in part of a line of inputs, and the sums of what of them passes the activation
// before and of its product with input - mean. An input is met by those outputs from which its distance to a tap divides
// by the stride; `row_phase` is the first such row of taps. After a curve what passed is written, since it takes longer to
// find than to read again.
INLINE void input_part(const float *lines[TAPS], const VALUE *inputs, VALUE *to, float *line_sums, long begin, long end,
                       long slot, long channel, const int stride, const int row_phase, const int normalised, Pass p) {
  const Maps m = p.m;
  lanes tap[TAPS][TAPS], mean = {0}, scale = {0}, bias = {0};
  lanes first = *(lanes *)(line_sums + slot), second = *(lanes *)(line_sums + slots(m) + slot);
  for (int row = row_phase; row < TAPS; row += stride)
    for (int column = 0; column < TAPS; column++)
      tap[row][column] = *(const lanes *)(p.taps + (row * TAPS + column) * m.channels + channel);
  if (normalised) {
    mean = *(const lanes *)(p.before.mean + channel), scale = *(const lanes *)(p.before.scale + channel);
    bias = *(const lanes *)(p.before.bias + channel);
  }
#pragma GCC unroll 2
  for (int phase = 0; phase < stride; phase++) // the first column of taps that meets an output from x
    for (long x = begin + (phase + stride * TAPS - m.padding - begin % stride) % stride; x < end; x += stride) {
      const long across = (x + m.padding - phase) / stride; // of the output that the tap in that column belongs to
      lanes all = {0};
#pragma GCC unroll 7
      for (int row = row_phase; row < TAPS; row += stride) {
        const float *from = lines[row] + across * m.channels + channel;
        lanes sum = tap[row][phase] * *(const lanes *)from;
#pragma GCC unroll 7
        for (int column = phase + stride; column < TAPS; column += stride)
          sum += tap[row][column] * *(const lanes *)(from - (column - phase) / stride * m.channels);
        all = row == row_phase ? sum : all + sum;
      }
      values written = narrowed(all);
      if (normalised) {
        const lanes centred = load(inputs + x * m.channels + channel, LANES) - mean;
        const lanes gradient = passed(widened(written), centred * scale + bias, p.s);
        first += gradient, second += gradient * centred;
#ifdef CURVE
        written = narrowed(gradient);
#endif
      }
      VALUE *place = to + x * m.channels + channel;
      *(values *)place = written;
      __builtin_prefetch((char *)place + AHEAD, 1);
    }
  *(lanes *)(line_sums + slot) = first, *(lanes *)(line_sums + slots(m) + slot) = second;
}

INLINE void input_line(Window *gradients, const VALUE *inputs, VALUE *to, float *line_sums, long y, const int stride,
                       const int row_phase, const int normalised, Pass p) {
  const float *lines[TAPS];
  for (int row = row_phase; row < TAPS; row += stride) {
    const long from = y + p.m.padding - row;
    lines[row] = line_of(gradients, from < 0 ? -1 : from / stride);
  }
  const long step = most(8, SEGMENT / p.m.channels);
  for (long begin = 0; begin < p.m.width; begin += step)
    EACH_BLOCK_OF(p.m.channels)
      input_part(lines, inputs, to, line_sums, begin, least(begin + step, p.m.width), slot, channel, stride, row_phase,
                 normalised, p);
}

// One picture's way back. A line of inputs is through once the outputs that its taps reach are; those outputs' own inputs are
// at hand just then for the taps' gradients.
INLINE void return_picture(const VALUE *inputs, const VALUE *middle, const VALUE *gradients, VALUE *to_inputs,
                           float *to_taps, double *sums, Gradients after, const int normalised, Pass p) {
  const Maps m = p.m;
  Scratch scratch = scratch_of_thread(p);
  for (long y = 0; y < m.height; y++) {
    while (scratch.gradients.made <= least((y + m.padding) / m.stride, m.output_height - 1)) {
      const long down = scratch.gradients.made;
      const float *lines[TAPS];
      make_gradients(&scratch.gradients, middle, gradients, after, p);
      inputs_of_line(down, &scratch.inputs, lines, inputs, normalised, p);
      weight_line(lines, line_of(&scratch.gradients, down), to_taps, m);
    }
    const VALUE *from = inputs + y * m.width * m.channels;
    VALUE *to = to_inputs + y * m.width * m.channels;
#define LINE(STRIDE, PHASE)                                                                                            \
  input_line(&scratch.gradients, from, to, scratch.line_sums, y, STRIDE, PHASE, normalised, p)
    if (m.stride == 1) LINE(1, 0);
    else if ((y + m.padding) % 2) LINE(2, 1);
    else LINE(2, 0);
#undef LINE
    flush(scratch.line_sums, sums, m);
  }
}

INLINE void return_all(const VALUE *inputs, const VALUE *middle, const VALUE *gradients, VALUE *to_inputs,
                       float *picture_taps, Gradients after, const int normalised, Pass p) {
  const Maps m = p.m;
  const long in = m.height * m.width * m.channels, out = m.output_height * m.output_width * m.channels;
#pragma omp parallel for schedule(static) num_threads(p.threads)
  for (long picture = 0; picture < m.batch; picture++)
    return_picture(inputs + picture * in, middle + picture * out, gradients + picture * out, to_inputs + picture * in,
                   picture_taps + picture * TAPS * TAPS * slots(m), p.sums + 2 * picture * m.channels, after, normalised,
                   p);
}

// The gradients of inputs, taps and parameters.
//
//   passing: Room of the gradients' shape for what passes a curve.
//   to_taps: Shape (TAPS x TAPS, channels).
//   picture_taps: Room of zeros, shape (batch, TAPS x TAPS, channels rounded up to LANES).
//   partial: Room for the sums over chunks of the outputs.
void joined_backward(const VALUE *inputs, const VALUE *middle, const VALUE *gradients, VALUE *passing, VALUE *to_inputs,
                     const float *taps, float *to_taps, float *picture_taps, float *kept_before, float *kept_after,
                     float *partial, double *sums, float *scratch, long threads, Gradients before, Gradients after,
                     Maps m, Layer s, Layer t) {
  const Pass p = {m, s, t, kept_at(kept_before, s), kept_at(kept_after, t), taps, sums, scratch, threads};
  settle_gradient_by(middle, NULL, gradients, passing, partial, p.after, after, t);
#ifdef CURVE
  gradients = passing;
#endif
  if (kept_before) return_all(inputs, middle, gradients, to_inputs, picture_taps, after, 1, p);
  else return_all(inputs, middle, gradients, to_inputs, picture_taps, after, 0, p);
#pragma omp parallel for schedule(static)
  for (long tap = 0; tap < TAPS * TAPS; tap++)
    for (long channel = 0; channel < m.channels; channel++) {
      const float *from = picture_taps + tap * slots(m) + slot_of(channel, m);
      double sum = 0;
      for (long picture = 0; picture < m.batch; picture++) sum += from[picture * TAPS * TAPS * slots(m)];
      to_taps[tap * m.channels + channel] = sum;
    }
  if (!kept_before) return;
  for (long channel = 0; channel < m.channels; channel++) {
    double first, second;
    add_pictures(channel, p, &first, &second);
    settle_gradient(first, second, channel, p.before, before, s);
  }
  to_inputs_of(inputs, to_inputs, to_inputs, p.before, before, s);
}
