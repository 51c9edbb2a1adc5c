// A depthwise convolution joined with the batch normalisations before and after it, and their activations. Maps lie with
// their channels innermost: shape (batch, height, width, channels). Before this stand lanes.c, normalization.c and a
// definition of TAPS, the kernel's size both ways.
//
// A picture is walked through line by line. What the convolution reads is made from a line that was just fetched, and what
// is measured of its outputs is measured before they leave the caches; so a map is fetched once where layers by themselves
// fetch it three times. Each picture's sums are kept apart and added up in order: they do not depend on the threads.
//
// Channels are taken a block of LANES at a time, the last one overlapping the one before where they do not divide: what lies
// in both is computed twice, alike. Sums have a slot for each block.

#define AHEAD (24 * 1024) // bytes before a place is written that it is asked for: a quarter faster than without, on AVX2
#define SEGMENT 4096      // floats of a line that all channels are taken of before going on: they stay in the first cache

int omp_get_thread_num(void);

typedef struct {
  long batch, channels;
  long height, width; // of the inputs
  long output_height, output_width;
  long stride, padding; // both ways alike
} Maps;

INLINE long least(long one, long other) { return one < other ? one : other; }
INLINE long most(long one, long other) { return one > other ? one : other; }

#define EACH_BLOCK_OF(CHANNELS)                                                                                        \
  for (long slot = 0, channel = 0; slot < (CHANNELS); slot += LANES, channel = least(slot, (CHANNELS) - LANES))

static inline long slots(Maps m) { return (m.channels + LANES - 1) / LANES * LANES; }
static inline long slot_of(long channel, Maps m) {
  const long slot = channel / LANES * LANES;
  return slot + channel - least(slot, m.channels - LANES);
}

// The last few lines of a picture that were made, as float32 with zeros on both sides. Others of its lines that a kernel
// reaches for lie outside the picture: one of zeros stands for them.
typedef struct {
  float *lines;
  long height, width; // of the picture
  long made;          // lines that were made so far
  long channels;
} Window;

#define HELD (TAPS + 1) // lines

static inline long line_length(long width, Maps m) { return (width + 2 * TAPS) * m.channels; }

static inline float *line_of(Window *window, long line) {
  const long place = line < 0 || line >= window->height ? HELD : line % HELD;
  return window->lines + (place * (window->width + 2 * TAPS) + TAPS) * window->channels;
}

// What a thread needs to itself, which is zero when it begins: two windows and the sums over a line.
static float *windows_in(float *room, Maps m, Window *entering, Window *returning) {
  *entering = (Window){room, m.height, m.width, 0, m.channels};
  room += (HELD + 1) * line_length(m.width, m);
  *returning = (Window){room, m.output_height, m.output_width, 0, m.channels};
  return room + (HELD + 1) * line_length(m.output_width, m);
}

// Floats of that.
long room(Maps m) {
  return (HELD + 1) * (line_length(m.width, m) + line_length(m.output_width, m)) + 2 * slots(m);
}

// Make the lines of a picture up to one: as the convolution reads them, normalised and activated.
INLINE void enter(Window *window, const VALUE *picture, long until, Kept k, const int normalised, Layer s) {
  for (; window->made <= least(until, window->height - 1); window->made++) {
    const VALUE *from = picture + window->made * window->width * s.channels;
    float *to = line_of(window, window->made);
    for (long at = 0; at < window->width * s.channels; at += s.channels)
      EACH_BLOCK_OF(s.channels) {
        lanes value = load(from + at + channel, LANES);
        if (normalised) {
          const lanes centred = value - *(const lanes *)(k.mean + channel);
          value = activated(centred * *(const lanes *)(k.scale + channel) + *(const lanes *)(k.bias + channel), s);
        }
        *(lanes *)(to + at + channel) = value;
      }
  }
}

// Write sums over a line to those over a picture, and begin anew.
static void flush(float *line_sums, double *sums, Maps m) {
  for (long which = 0; which < 2; which++)
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

// The lines that the taps of one line of outputs meet, made where they have not been.
INLINE void lines_for(long down, Window *window, const float *lines[TAPS], const VALUE *picture, Kept k,
                      const int normalised, Maps m, Layer s) {
  const long top = down * m.stride - m.padding;
  enter(window, picture, top + TAPS - 1, k, normalised, s);
  for (int row = 0; row < TAPS; row++) lines[row] = line_of(window, top + row);
}

// The outputs of one picture; of the first picture's first output alone where pivots are asked for.
INLINE void filter_picture(const VALUE *picture, VALUE *to, const float *taps, VALUE *pivots, double *sums, float *room,
                           long lines_down, long outputs, Kept k, const int normalised, Maps m, Layer s) {
  Window window, unused;
  float *line_sums = windows_in(room, m, &window, &unused);
  for (long down = 0; down < lines_down; down++) {
    const float *lines[TAPS];
    lines_for(down, &window, lines, picture, k, normalised, m, s);
    filter_line(lines, taps, to + down * m.output_width * m.channels, pivots, line_sums, outputs, m);
    flush(line_sums, sums, m);
  }
}

INLINE void filter(const VALUE *inputs, VALUE *middle, const float *taps, VALUE *pivots, double *sums, float *rooms,
                   long threads, Kept k, const int normalised, Maps m, Layer s) {
  // Squares of numbers close to the first output lose no digits.
  filter_picture(inputs, pivots, taps, pivots, sums, rooms, 1, 1, k, normalised, m, s);
  memset(sums, 0, 2 * m.batch * m.channels * sizeof(double));
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long p = 0; p < m.batch; p++)
    filter_picture(inputs + p * m.height * m.width * m.channels,
                   middle + p * m.output_height * m.output_width * m.channels, taps, pivots, sums + 2 * p * m.channels,
                   rooms + omp_get_thread_num() * room(m), m.output_height, m.output_width, k, normalised, m, s);
}

// The sums of a channel over all pictures.
static inline void add_pictures(const double *sums, long channel, Maps m, double *first, double *second) {
  *first = *second = 0;
  for (long p = 0; p < m.batch; p++) {
    *first += sums[2 * p * m.channels + channel];
    *second += sums[(2 * p + 1) * m.channels + channel];
  }
}

// Normalise, activate, convolve, normalise and activate. The first normalisation is left out where it has no parameters.
//
// Args:
//   middle: The convolution's outputs, which the way back needs.
//   taps: Shape (TAPS x TAPS, channels).
//   pivots: Room of zeros for one number a channel.
//   partial: Room for the sums over chunks of the inputs.
//   sums: Room of shape (batch, 2, channels).
//   rooms: Room for each thread, of zeros.
void joined_forward(const VALUE *inputs, VALUE *middle, VALUE *outputs, const float *taps, VALUE *pivots, float *partial,
                    double *sums, float *rooms, long threads, Parameters before, Parameters after, Maps m, Layer s,
                    Layer t) {
  if (before.kept) {
    settle_by(inputs, partial, before, s);
    filter(inputs, middle, taps, pivots, sums, rooms, threads, kept_at(before.kept, s), 1, m, s);
  } else
    filter(inputs, middle, taps, pivots, sums, rooms, threads, (Kept){0}, 0, m, s);
  for (long channel = 0; channel < m.channels; channel++) {
    double first, second;
    add_pictures(sums, channel, m, &first, &second);
    settle(first, second, pivots, channel, after, t);
  }
  apply_kept(middle, outputs, kept_at(after.kept, t), t);
}

// Make the next line of the gradient of the convolution's outputs.
static void return_line(Window *window, const VALUE *middle, const VALUE *gradients, Kept k, Gradients g, Layer t) {
  const long start = window->made * window->width * t.channels;
  float *to = line_of(window, window->made);
  for (long at = 0; at < window->width * t.channels; at += t.channels)
    EACH_BLOCK_OF(t.channels)
      *(lanes *)(to + at + channel) =
          to_input(middle + start + at + channel, gradients + start + at + channel, k, g, channel, LANES, t);
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
// by the stride; `row_phase` is the first such row of taps.
INLINE void input_part(const float *lines[TAPS], const float *taps, const VALUE *inputs, VALUE *to, float *line_sums,
                       Kept k, long begin, long end, long slot, long channel, const int stride, const int row_phase,
                       const int normalised, Maps m, Layer s) {
  lanes tap[TAPS][TAPS], mean = {0}, scale = {0}, bias = {0};
  lanes first = *(lanes *)(line_sums + slot), second = *(lanes *)(line_sums + slots(m) + slot);
  for (int row = row_phase; row < TAPS; row += stride)
    for (int column = 0; column < TAPS; column++)
      tap[row][column] = *(const lanes *)(taps + (row * TAPS + column) * m.channels + channel);
  if (normalised) {
    mean = *(const lanes *)(k.mean + channel), scale = *(const lanes *)(k.scale + channel);
    bias = *(const lanes *)(k.bias + channel);
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
        const lanes gradient = passed(widened(written), centred * scale + bias, s);
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

INLINE void input_line(Window *returning, const float *taps, const VALUE *inputs, VALUE *to, float *line_sums, Kept k,
                       long y, const int stride, const int row_phase, const int normalised, Maps m, Layer s) {
  const float *lines[TAPS];
  for (int row = row_phase; row < TAPS; row += stride) {
    const long from = y + m.padding - row;
    lines[row] = line_of(returning, from < 0 ? -1 : from / stride);
  }
  const long step = most(8, SEGMENT / m.channels);
  for (long begin = 0; begin < m.width; begin += step)
    EACH_BLOCK_OF(m.channels)
      input_part(lines, taps, inputs, to, line_sums, k, begin, least(begin + step, m.width), slot, channel, stride,
                 row_phase, normalised, m, s);
}

// One picture's way back. A line of inputs is through once the outputs that its taps reach are; those outputs' own inputs are
// at hand just then for the taps' gradients.
INLINE void return_picture(const VALUE *inputs, const VALUE *middle, const VALUE *gradients, VALUE *to_inputs,
                           const float *taps, float *to_taps, double *sums, float *room, Kept k, Kept after, Gradients g,
                           const int normalised, Maps m, Layer s, Layer t) {
  Window entering, returning;
  float *line_sums = windows_in(room, m, &entering, &returning);
  for (long y = 0; y < m.height; y++) {
    while (returning.made <= least((y + m.padding) / m.stride, m.output_height - 1)) {
      const long down = returning.made;
      const float *lines[TAPS];
      return_line(&returning, middle, gradients, after, g, t);
      lines_for(down, &entering, lines, inputs, k, normalised, m, s);
      weight_line(lines, line_of(&returning, down), to_taps, m);
    }
    const VALUE *from = inputs + y * m.width * m.channels;
    VALUE *to = to_inputs + y * m.width * m.channels;
    if (m.stride == 1) input_line(&returning, taps, from, to, line_sums, k, y, 1, 0, normalised, m, s);
    else if ((y + m.padding) % 2) input_line(&returning, taps, from, to, line_sums, k, y, 2, 1, normalised, m, s);
    else input_line(&returning, taps, from, to, line_sums, k, y, 2, 0, normalised, m, s);
    flush(line_sums, sums, m);
  }
}

INLINE void return_all(const VALUE *inputs, const VALUE *middle, const VALUE *gradients, VALUE *to_inputs,
                       const float *taps, float *to_taps, double *sums, float *rooms, long threads, Kept k, Kept after,
                       Gradients g, const int normalised, Maps m, Layer s, Layer t) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long p = 0; p < m.batch; p++) {
    const long in = p * m.height * m.width * m.channels, out = p * m.output_height * m.output_width * m.channels;
    return_picture(inputs + in, middle + out, gradients + out, to_inputs + in, taps,
                   to_taps + p * TAPS * TAPS * slots(m), sums + 2 * p * m.channels,
                   rooms + omp_get_thread_num() * room(m), k, after, g, normalised, m, s, t);
  }
}

// The gradients of inputs, taps and parameters.
//
// Args:
//   passing: Room of the gradients' shape for what passes a curve.
//   to_taps: Shape (TAPS x TAPS, channels).
//   picture_taps: Room of zeros, shape (batch, TAPS x TAPS, channels rounded up to LANES).
//   partial: Room for the sums over chunks of the outputs.
//   sums: Room of zeros, shape (batch, 2, channels).
//   rooms: Room for each thread, of zeros.
void joined_backward(const VALUE *inputs, const VALUE *middle, const VALUE *gradients, VALUE *passing, VALUE *to_inputs,
                     const float *taps, float *to_taps, float *picture_taps, float *kept_before, float *kept_after,
                     float *partial, double *sums, float *rooms, long threads, Gradients before, Gradients after, Maps m,
                     Layer s, Layer t) {
  const Kept k = kept_at(kept_before, s), l = kept_at(kept_after, t);
  settle_gradient_by(middle, gradients, passing, partial, l, after, t);
#ifdef CURVE
  gradients = passing;
#endif
  if (kept_before)
    return_all(inputs, middle, gradients, to_inputs, taps, picture_taps, sums, rooms, threads, k, l, after, 1, m, s, t);
  else
    return_all(inputs, middle, gradients, to_inputs, taps, picture_taps, sums, rooms, threads, k, l, after, 0, m, s, t);
#pragma omp parallel for schedule(static)
  for (long tap = 0; tap < TAPS * TAPS; tap++)
    for (long channel = 0; channel < m.channels; channel++) {
      double sum = 0;
      for (long p = 0; p < m.batch; p++) sum += picture_taps[(p * TAPS * TAPS + tap) * slots(m) + slot_of(channel, m)];
      to_taps[tap * m.channels + channel] = sum;
    }
  if (!kept_before) return;
  for (long channel = 0; channel < m.channels; channel++) {
    double first, second;
    add_pictures(sums, channel, m, &first, &second);
    settle_gradient(first, second, channel, k, before, s);
  }
  to_inputs_of(inputs, to_inputs, to_inputs, k, before, s);
}
