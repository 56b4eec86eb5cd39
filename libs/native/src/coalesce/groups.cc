#include "coalesce/groups.h"

#include <algorithm>

#include "coalesce/radix_sort.h"
#include "coalesce/run_shape.h"

namespace interleave {
namespace {

struct Sortable {
  // Upper half: a hash of what must be equal to share a run; lower half: the length. Two groups with equal hashes only
  // end up between each other, where the boundaries still divide them.
  std::uint64_t key = 0;
  std::uint32_t age = 0;
  std::uint32_t index = 0;
};

std::uint32_t Hash(std::uint64_t a, std::uint64_t b) {
  // Multiplier of SplitMix64 (Steele, Lea, Flood 2014).
  const std::uint64_t mixed = (a ^ (b * 0x9E3779B97F4A7C15U)) * 0xBF58476D1CE4E5B9U;
  return static_cast<std::uint32_t>(mixed >> 32);
}

std::uint64_t Key(const QueueEntry& entry, const ModelLimits& limits) {
  const auto first = static_cast<std::uint64_t>(entry.lengths[0]);
  const auto second = static_cast<std::uint64_t>(entry.lengths[1]);
  const std::uint64_t group = Hash(entry.shapeKey, std::uint64_t{entry.model} * 2 + (entry.ahead ? 1 : 0) + 1);
  if (limits.equalLengths) return group << 32 | Hash(first, second);
  return group << 32 | std::min<std::uint64_t>(first + second, UINT32_MAX);
}

// The ages in 16 bits: enough to put equal lengths in order.
void FillAges(std::span<const QueueEntry> queue, const CoalesceLimits& limits, std::vector<Sortable>& items) {
  std::int64_t earliest = INT64_MAX;
  std::int64_t latest = INT64_MIN;
  for (const Sortable& item : items) {
    const std::int64_t dueNs = DueNs(queue[item.index], limits);
    earliest = std::min(earliest, dueNs);
    latest = std::max(latest, dueNs);
  }
  int shift = 0;
  while (((latest - earliest) >> shift) > UINT16_MAX) ++shift;
  for (Sortable& item : items) {
    item.age = static_cast<std::uint32_t>((DueNs(queue[item.index], limits) - earliest) >> shift);
  }
}

}  // namespace

std::int64_t DueNs(const QueueEntry& entry, const CoalesceLimits& limits) {
  return entry.enqueuedNs + PriorityLevel(entry.priority) * limits.ageStepNs;
}

Groups GroupItems(std::span<const QueueEntry> queue, std::span<const std::uint32_t> members,
                  const CoalesceLimits& limits) {
  Groups groups;
  thread_local std::vector<Sortable> items;  // see radix_sort.h
  items.clear();
  items.reserve(members.size());
  for (const std::uint32_t index : members) {
    if (IsAlone(queue[index], limits.models[queue[index].model])) {
      groups.groups.push_back({groups.order.size(), groups.order.size() + 1});
      groups.order.push_back(index);
    } else {
      items.push_back({.key = Key(queue[index], limits.models[queue[index].model]), .age = 0, .index = index});
    }
  }
  if (items.empty()) return groups;
  FillAges(queue, limits, items);
  RadixSort(items, [](const Sortable& item) { return item.age; });
  RadixSort(items, [](const Sortable& item) { return item.key; });
  groups.order.reserve(members.size());
  const QueueEntry* previous = nullptr;
  for (const Sortable& item : items) {
    const QueueEntry& entry = queue[item.index];
    if (previous == nullptr || !AreCompatible(entry, *previous, limits.models[entry.model])) {
      groups.groups.push_back({groups.order.size(), groups.order.size()});
    }
    groups.order.push_back(item.index);
    groups.groups.back().end = groups.order.size();
    previous = &entry;
  }
  return groups;
}

}  // namespace interleave
