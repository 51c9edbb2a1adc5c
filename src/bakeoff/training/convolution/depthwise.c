// Depthwise convolution of maps whose channels lie innermost: shape (batch, height, width, channels). Before this stands
// lanes.c. Arithmetic is float32; a kernel's taps lie as float32 of shape (rows x columns, channels).
//
// Channels are taken a block at a time, the last one overlapping the one before where they do not divide: what lies in both
// is computed twice, alike. What is added up in which order depends neither on the threads nor on their number.

#define PLACES 4 // outputs of a line at once: as many share each tap that is read
#define CHUNKS 16 // parts of the batch whose weight gradients are summed in float32 before the sum goes to float64

typedef struct {
  long batch, channels;
  long height, width;               // of the input
  long output_height, output_width;
  long taps_down, taps_across;
  long stride_down, stride_across;
  long above, before;               // padding
  long dilation_down, dilation_across;
} Maps;

// Unrolled, so that the sums of all places stay in registers.
#define EACH_PLACE _Pragma("GCC unroll 4") for (long place = 0; place < PLACES; place++)

// LINES * LANES channels at once.
#define BLOCKS(LINES, BODY)                                                                                            \
  for (long block = 0; block < s.channels; block += (LINES) * LANES) {                                                 \
    const long channel = block + (LINES) * LANES <= s.channels ? block : s.channels - (LINES) * LANES;                 \
    BODY;                                                                                                              \
  }

// sums[place] += tap * from[first + place * step], of the places from low to high.
INLINE void add(lanes sums[PLACES][2], const VALUE *from, const float *tap, long first, long step, long low, long high,
                long channels, const int lines) {
  for (int line = 0; line < lines; line++) {
    const lanes weight = *(const lanes *)(tap + line * LANES);
    if (low == 0 && high == PLACES) {
      EACH_PLACE sums[place][line] += weight * load(from + (first + place * step) * channels + line * LANES, LANES);
    } else {
      EACH_PLACE if (place >= low && place < high)
        sums[place][line] += weight * load(from + (first + place * step) * channels + line * LANES, LANES);
    }
  }
}

// The outputs of one line, for one block of channels.
INLINE void forward_line(const VALUE *picture, const float *taps, VALUE *line_out, long down, Maps s, const int lines) {
  for (long across = 0; across < s.output_width; across += PLACES) {
    const long count = least(PLACES, s.output_width - across);
    lanes sums[PLACES][2] = {0};
    for (long row = 0; row < s.taps_down; row++) {
      const long y = down * s.stride_down - s.above + row * s.dilation_down;
      if (y < 0 || y >= s.height) continue;
      for (long column = 0; column < s.taps_across; column++) {
        const long x = across * s.stride_across - s.before + column * s.dilation_across; // of the first place
        const long low = least(count, rounded_up(-x, s.stride_across));
        const long high = least(count, rounded_up(s.width - x, s.stride_across));
        add(sums, picture + y * s.width * s.channels, taps + (row * s.taps_across + column) * s.channels, x,
            s.stride_across, low, high, s.channels, lines);
      }
    }
    EACH_PLACE if (place < count)
      for (int line = 0; line < lines; line++)
        write_values(line_out + (across + place) * s.channels + line * LANES, narrowed(sums[place][line]), LANES);
  }
}

void forward(const VALUE *inputs, const float *taps, VALUE *outputs, Maps s) {
#pragma omp parallel for schedule(static)
  for (long line = 0; line < s.batch * s.output_height; line++) {
    const VALUE *picture = inputs + line / s.output_height * s.height * s.width * s.channels;
    VALUE *line_out = outputs + line * s.output_width * s.channels;
    const long down = line % s.output_height;
    if (s.channels >= 2 * LANES) {
      BLOCKS(2, forward_line(picture + channel, taps + channel, line_out + channel, down, s, 2))
    } else {
      BLOCKS(1, forward_line(picture + channel, taps + channel, line_out + channel, down, s, 1))
    }
  }
}

// The gradients of one line of the inputs, for one block of channels. An input is met by those outputs from which its
// distance to a tap divides by the stride: of inputs a stride apart, by the same taps.
INLINE void input_line(const VALUE *picture, const float *taps, VALUE *line_out, long y, Maps s, const int lines) {
  for (long phase = 0; phase < least(s.stride_across, s.width); phase++)
    for (long x = phase; x < s.width; x += PLACES * s.stride_across) {
      const long count = least(PLACES, rounded_up(s.width - x, s.stride_across));
      lanes sums[PLACES][2] = {0};
      for (long row = 0; row < s.taps_down; row++) {
        const long from_row = y + s.above - row * s.dilation_down, down = from_row / s.stride_down;
        if (from_row < 0 || from_row % s.stride_down || down >= s.output_height) continue;
        for (long column = 0; column < s.taps_across; column++) {
          const long from_column = x + s.before - column * s.dilation_across;
          if (from_column % s.stride_across) continue;
          const long across = from_column / s.stride_across; // of the first place; negative before the first output
          const long low = least(count, most(0, -across)), high = most(low, least(count, s.output_width - across));
          add(sums, picture + down * s.output_width * s.channels, taps + (row * s.taps_across + column) * s.channels,
              across, 1, low, high, s.channels, lines);
        }
      }
      EACH_PLACE if (place < count)
        for (int line = 0; line < lines; line++)
          write_values(line_out + (x + place * s.stride_across) * s.channels + line * LANES, narrowed(sums[place][line]),
                       LANES);
    }
}

void input_gradient(const VALUE *gradients, const float *taps, VALUE *to_inputs, Maps s) {
#pragma omp parallel for schedule(static)
  for (long line = 0; line < s.batch * s.height; line++) {
    const VALUE *picture = gradients + line / s.height * s.output_height * s.output_width * s.channels;
    VALUE *line_out = to_inputs + line * s.width * s.channels;
    const long y = line % s.height;
    if (s.channels >= 2 * LANES) {
      BLOCKS(2, input_line(picture + channel, taps + channel, line_out + channel, y, s, 2))
    } else {
      BLOCKS(1, input_line(picture + channel, taps + channel, line_out + channel, y, s, 1))
    }
  }
}

// What one picture adds to the gradients of `columns` taps in one row of the kernel, from the column `first` on; of a single
// line of channels the first `known` are left out.
INLINE void weight_taps(const VALUE *picture, const VALUE *gradients, float *to_taps, long row, long first,
                        const int columns, const int lines, long known, Maps s) {
  lanes sums[8][2] = {0};
  // Outputs between which all these taps lie inside the picture.
  const long begin = first * s.dilation_across - s.before, end = begin + (columns - 1) * s.dilation_across;
  const long low = least(s.output_width, rounded_up(-begin, s.stride_across));
  const long high = most(low, least(s.output_width, rounded_up(s.width - end, s.stride_across)));
  for (long down = 0; down < s.output_height; down++) {
    const long y = down * s.stride_down - s.above + row * s.dilation_down;
    if (y < 0 || y >= s.height) continue;
    const VALUE *line_in = picture + y * s.width * s.channels;
    const VALUE *line_gradients = gradients + down * s.output_width * s.channels;
    for (long across = 0; across < s.output_width; across++) {
      const long x = across * s.stride_across + begin;
      lanes gradient[2];
      for (int line = 0; line < lines; line++)
        gradient[line] = load(line_gradients + across * s.channels + line * LANES, LANES);
      if (across >= low && across < high) {
#pragma GCC unroll 8
        for (int column = 0; column < columns; column++)
          for (int line = 0; line < lines; line++)
            sums[column][line] +=
                gradient[line] * load(line_in + (x + column * s.dilation_across) * s.channels + line * LANES, LANES);
      } else {
#pragma GCC unroll 8
        for (int column = 0; column < columns; column++) {
          const long place = x + column * s.dilation_across;
          if (place >= 0 && place < s.width)
            for (int line = 0; line < lines; line++)
              sums[column][line] += gradient[line] * load(line_in + place * s.channels + line * LANES, LANES);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int column = 0; column < columns; column++) {
    float *to = to_taps + (row * s.taps_across + first + column) * s.channels;
    if (known)
      for (long channel = known; channel < LANES; channel++) to[channel] += sums[column][0][channel];
    else
      for (int line = 0; line < lines; line++) *(lanes *)(to + line * LANES) += sums[column][line];
  }
}

// What one picture adds to the gradients of all taps, for one block of channels: up to seven taps of a row at once.
INLINE void weight_block(const VALUE *picture, const VALUE *gradients, float *to_taps, const int lines, long known,
                         Maps s) {
  for (long row = 0; row < s.taps_down; row++)
    for (long first = 0; first < s.taps_across; first += 7) {
      switch (least(7, s.taps_across - first)) {
      case 1: weight_taps(picture, gradients, to_taps, row, first, 1, lines, known, s); break;
      case 2: weight_taps(picture, gradients, to_taps, row, first, 2, lines, known, s); break;
      case 3: weight_taps(picture, gradients, to_taps, row, first, 3, lines, known, s); break;
      case 4: weight_taps(picture, gradients, to_taps, row, first, 4, lines, known, s); break;
      case 5: weight_taps(picture, gradients, to_taps, row, first, 5, lines, known, s); break;
      case 6: weight_taps(picture, gradients, to_taps, row, first, 6, lines, known, s); break;
      default: weight_taps(picture, gradients, to_taps, row, first, 7, lines, known, s);
      }
    }
}

// What one picture adds to the gradients of all taps. The last line of channels overlaps the one before where they do not
// divide, and adds only what is its own.
static void weight_picture(const VALUE *picture, const VALUE *gradients, float *to_taps, Maps s) {
  long channel = 0;
  for (; channel + 2 * LANES <= s.channels; channel += 2 * LANES)
    weight_block(picture + channel, gradients + channel, to_taps + channel, 2, 0, s);
  for (; channel + LANES <= s.channels; channel += LANES)
    weight_block(picture + channel, gradients + channel, to_taps + channel, 1, 0, s);
  const long known = channel - (s.channels - LANES);
  channel = s.channels - LANES;
  if (known < LANES) weight_block(picture + channel, gradients + channel, to_taps + channel, 1, known, s);
}

// The gradient of the weight, shape (channels, rows, columns). `partial` has room for CHUNKS x taps x channels.
void weight_gradient(const VALUE *inputs, const VALUE *gradients, VALUE *to_weight, float *partial, Maps s) {
  const long of_picture = s.height * s.width * s.channels, of_gradients = s.output_height * s.output_width * s.channels;
  const long taps = s.taps_down * s.taps_across;
#pragma omp parallel for schedule(static)
  for (long chunk = 0; chunk < CHUNKS; chunk++) {
    float *sums = partial + chunk * taps * s.channels;
    memset(sums, 0, taps * s.channels * sizeof(float));
    for (long picture = chunk * s.batch / CHUNKS; picture < (chunk + 1) * s.batch / CHUNKS; picture++)
      weight_picture(inputs + picture * of_picture, gradients + picture * of_gradients, sums, s);
  }
#pragma omp parallel for schedule(static)
  for (long channel = 0; channel < s.channels; channel++)
    for (long tap = 0; tap < taps; tap++) {
      double sum = 0;
      for (long chunk = 0; chunk < CHUNKS; chunk++) sum += partial[(chunk * taps + tap) * s.channels + channel];
      const values rounded = narrowed((lanes){0} + (float)sum);
      memcpy(to_weight + channel * taps + tap, &rounded, sizeof(VALUE));
    }
}
