// For tests that fill queues and empty them.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "coalesce/coalescer.h"

namespace interleave::test {

// `runNs` a run and `tokenNs` a padded token, exact for up to 32 rows and lengths up to 512.
inline std::shared_ptr<const CostTable> LinearCosts(std::int64_t runNs, std::int64_t tokenNs) {
  CostGrid grid;
  for (std::int64_t rows = 1; rows <= 32; ++rows) grid.rows.push_back(rows);
  for (std::int64_t length = 1; length <= 512; ++length) {
    grid.lengths.push_back(length);
    grid.runNs.emplace_back();
    for (const std::int64_t rows : grid.rows) {
      grid.runNs.back().push_back(static_cast<double>(runNs + tokenNs * rows * length));
    }
  }
  return std::make_shared<const CostTable>(grid);
}

// Takes the chosen items out; the order of the others means nothing.
inline void RemoveFrom(std::vector<QueueEntry>& queue, std::vector<std::size_t> indices) {
  std::sort(indices.begin(), indices.end(), std::greater<>());
  for (const std::size_t index : indices) {
    queue[index] = queue.back();
    queue.pop_back();
  }
}

}  // namespace interleave::test
