#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace interleave {

// Sorts ascending by the unsigned integer that `keyOf` returns; stable. O(n) for each byte in which keys differ.
template <class Item, class KeyOf>
void RadixSort(std::vector<Item>& items, KeyOf keyOf) {
  using Key = decltype(keyOf(items[0]));
  Key differing = 0;
  for (const Item& item : items) differing |= keyOf(item) ^ keyOf(items[0]);
  // Kept by each thread: for 10 000 items the kernel takes longer to hand out fresh pages than a pass of the sort
  // takes.
  thread_local std::vector<Item> sorted;
  sorted.resize(items.size());
  for (std::size_t shift = 0; shift < 8 * sizeof(Key); shift += 8) {
    if (((differing >> shift) & 0xFF) == 0) continue;
    const auto byteOf = [&keyOf, shift](const Item& item) { return (keyOf(item) >> shift) & 0xFF; };
    std::array<std::uint32_t, 256> positions{};
    for (const Item& item : items) ++positions[byteOf(item)];
    std::uint32_t sum = 0;
    for (std::uint32_t& position : positions) sum += std::exchange(position, sum);
    for (const Item& item : items) sorted[positions[byteOf(item)]++] = item;
    items.swap(sorted);
  }
}

}  // namespace interleave
