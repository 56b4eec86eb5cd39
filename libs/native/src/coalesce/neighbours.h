#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "coalesce/coalescer.h"

namespace interleave {

// The item `seed` with the items closest to it in length, closest first, as many as the limits allow. Partners are
// at least half as long as the seed and at most its length rounded up to a multiple of 8, along each axis: beyond that
// padding costs more than a shared run gains.
std::vector<std::size_t> WithNeighbours(std::span<const QueueEntry> queue, std::size_t seed, const ModelLimits& limits);

}  // namespace interleave
