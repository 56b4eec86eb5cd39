#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace interleave {

// Hands out the payload memory of one channel. Lives in the client's private memory and deals in offsets only: nothing
// in the shared region can corrupt it. Best fit, neighbours merged on Free, O(log blocks). One thread.
class Arena {
 public:
  static constexpr std::uint64_t kAlignment = 64;

  // `bytes` is a multiple of kAlignment.
  explicit Arena(std::uint64_t bytes);

  // Offset of a free block of at least `bytes` (> 0), aligned; nullopt when none is large enough.
  std::optional<std::uint64_t> Allocate(std::uint64_t bytes);

  // `offset` and `bytes` as given to and by Allocate.
  void Free(std::uint64_t offset, std::uint64_t bytes);

  std::uint64_t totalBytes() const { return totalBytes_; }
  std::uint64_t freeBytes() const { return freeBytes_; }
  std::uint64_t largestFreeBytes() const { return bySize_.empty() ? 0 : bySize_.rbegin()->first; }

 private:
  void Insert(std::uint64_t offset, std::uint64_t bytes);
  void Erase(std::map<std::uint64_t, std::uint64_t>::iterator entry);

  std::uint64_t totalBytes_;
  std::uint64_t freeBytes_ = 0;
  std::map<std::uint64_t, std::uint64_t> byOffset_;           // offset -> bytes
  std::set<std::pair<std::uint64_t, std::uint64_t>> bySize_;  // (bytes, offset): the same blocks
};

}  // namespace interleave
