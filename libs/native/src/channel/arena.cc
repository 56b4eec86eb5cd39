#include "channel/arena.h"

#include <iterator>

#include "channel/layout.h"

namespace interleave {

Arena::Arena(std::uint64_t bytes) : totalBytes_(bytes) { Insert(0, bytes); }

std::optional<std::uint64_t> Arena::Allocate(std::uint64_t bytes) {
  const std::uint64_t needed = AlignUp(bytes, kAlignment);
  const auto found = bySize_.lower_bound({needed, 0});
  if (found == bySize_.end()) return std::nullopt;
  const auto [size, offset] = *found;
  Erase(byOffset_.find(offset));
  if (size > needed) Insert(offset + needed, size - needed);
  return offset;
}

void Arena::Free(std::uint64_t offset, std::uint64_t bytes) {
  std::uint64_t start = offset;
  std::uint64_t end = offset + AlignUp(bytes, kAlignment);
  auto next = byOffset_.lower_bound(offset);
  if (next != byOffset_.end() && next->first == end) {
    end += next->second;
    auto after = std::next(next);
    Erase(next);
    next = after;
  }
  if (next != byOffset_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == start) {
      start = previous->first;
      Erase(previous);
    }
  }
  Insert(start, end - start);
}

void Arena::Insert(std::uint64_t offset, std::uint64_t bytes) {
  byOffset_.emplace(offset, bytes);
  bySize_.emplace(bytes, offset);
  freeBytes_ += bytes;
}

void Arena::Erase(std::map<std::uint64_t, std::uint64_t>::iterator entry) {
  bySize_.erase({entry->second, entry->first});
  freeBytes_ -= entry->second;
  byOffset_.erase(entry);
}

}  // namespace interleave
