// The waiting items in the order in which they may share runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "coalesce/coalescer.h"

namespace interleave {

// A part of Groups::order. Neighbours in it may share a run; an item that runs alone is a group of one.
struct Group {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct Groups {
  // Indices into the queue: group by group, in each ascending in length, equal lengths by age and priority.
  std::vector<std::uint32_t> order;
  std::vector<Group> groups;
};

// `members`: which items of the queue to take. O(n): a radix sort.
Groups GroupItems(std::span<const QueueEntry> queue, std::span<const std::uint32_t> members,
                  const CoalesceLimits& limits);

// When an item is due in the order of arrival and priority: an item of higher priority overtakes those that came up to
// the difference of their levels times CoalesceLimits::ageStepNs before it.
std::int64_t DueNs(const QueueEntry& entry, const CoalesceLimits& limits);

}  // namespace interleave
