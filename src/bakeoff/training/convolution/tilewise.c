// Winograd's convolutions, a few tiles at a time from their pixels to those of the outputs.
//
// Before this stand products.c and winograd.c.

#define VALUES (POINTS * POINTS) // of a tile

// The kernels at all points, shape (VALUES, channels, outputs), packed for products.
void pack_kernels(const REAL *kernels, REAL *packed, long channels, long outputs, long to_next_channel, long to_next_output) {
#pragma omp parallel for schedule(static)
  for (long k = 0; k < VALUES; k++)
    pack(kernels + k * channels * outputs, packed + k * channels * outputs, channels, outputs, to_next_channel, to_next_output);
}

// Convolve: `several` tiles at a time are cut, multiplied with the kernels and joined. scratch holds several x VALUES x
// (from.channels + to.channels) numbers for each of the threads, which share the tiles evenly.
void convolve(const REAL *maps, const REAL *packed, REAL *outputs, REAL *scratch, long threads, long several, Maps from,
              Maps to) {
  const long tiles = from.batch * from.down * from.across, groups = (tiles + several - 1) / several;
#pragma omp parallel for schedule(static)
  for (long thread = 0; thread < threads; thread++) {
    REAL *cut = scratch + thread * several * VALUES * (from.channels + to.channels);
    REAL *product = cut + several * VALUES * from.channels;
    for (long group = thread * groups / threads; group < (thread + 1) * groups / threads; group++) {
      const long first = group * several, count = tiles - first < several ? tiles - first : several;
      for (long tile = 0; tile < count; tile++)
        cut_inputs_tile(maps, cut + tile * from.channels, several * from.channels, first + tile, from);
      for (long k = 0; k < VALUES; k++)
        multiply(cut + k * several * from.channels, packed + k * from.channels * to.channels,
                 product + k * several * to.channels, count, from.channels, to.channels);
      for (long tile = 0; tile < count; tile++)
        join_tile(product + tile * to.channels, several * to.channels, outputs, first + tile, to);
    }
  }
}

// The gradient of the kernels at all points, shape (slices, VALUES, to.channels, from.channels), as accumulate keeps sums: from
// each slice of the tiles by itself, so that they do not depend on the threads. They are zero before. scratch is as above.
void gather(const REAL *inputs, const REAL *gradients, REAL *sums, REAL *scratch, long threads, long slices, long several,
            Maps from, Maps to) {
  const long tiles = from.batch * from.down * from.across, groups = (tiles + several - 1) / several;
#pragma omp parallel for schedule(static)
  for (long thread = 0; thread < threads; thread++) {
    REAL *of_inputs = scratch + thread * several * VALUES * (from.channels + to.channels);
    REAL *of_gradients = of_inputs + several * VALUES * from.channels;
    for (long slice = thread * slices / threads; slice < (thread + 1) * slices / threads; slice++)
      for (long group = slice * groups / slices; group < (slice + 1) * groups / slices; group++) {
        const long first = group * several, count = tiles - first < several ? tiles - first : several;
        for (long tile = 0; tile < count; tile++) {
          cut_inputs_tile(inputs, of_inputs + tile * from.channels, several * from.channels, first + tile, from);
          cut_gradients_tile(gradients, of_gradients + tile * to.channels, several * to.channels, first + tile, to);
        }
        for (long k = 0; k < VALUES; k++)
          accumulate(of_gradients + k * several * to.channels, of_inputs + k * several * from.channels,
                     sums + (slice * VALUES + k) * to.channels * from.channels, count, to.channels, from.channels);
      }
  }
}

// The gradient of the kernels at all points, shape (VALUES, outputs, channels), from sums as accumulate keeps them.
void unpack_kernels(const REAL *packed, REAL *kernels, long channels, long outputs) {
#pragma omp parallel for schedule(static)
  for (long k = 0; k < VALUES; k++)
    unpack(packed + k * channels * outputs, kernels + k * channels * outputs, outputs, channels);
}
