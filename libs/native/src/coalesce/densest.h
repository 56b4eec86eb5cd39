#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "coalesce/coalescer.h"

namespace interleave {

// The items that fill a run of one model best with the least padding: of all full runs of items that are consecutive in
// length, the one with the least padding; where nothing fills a run, the largest one. `queue` must not be empty.
std::vector<std::size_t> DensestBatch(std::span<const QueueEntry> queue, std::span<const ModelLimits> models);

}  // namespace interleave
