#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "channel/fd.h"
#include "channel/layout.h"

namespace interleave {

// What both sides agree on in the handshake.
struct RegionSize {
  std::uint64_t regionBytes = 0;
  std::uint32_t ringCapacity = 0;
};

// A mapping of the shared region, unmapped on destruction.
class Region {
 public:
  // The client's side: a new sealed memfd of the given size with its header written. `fd` receives it, to be sent to
  // the worker. Throws std::system_error.
  static Region Create(std::uint32_t ringCapacity, std::uint64_t arenaBytes, Fd& fd);

  // The worker's side: maps a descriptor that a stranger sent. Refuses one that is not a memfd sealed against resizing
  // (else its owner could make our reads raise SIGBUS), whose size or header differ from `size`, or that cannot be
  // written: the result is empty then and `error` says what was expected.
  static Region Open(const Fd& fd, const RegionSize& size, std::string& error);

  Region() = default;
  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  ~Region();

  bool valid() const { return data_ != nullptr; }
  RegionSize size() const { return size_; }
  RegionHeader* header() const { return reinterpret_cast<RegionHeader*>(data_); }
  std::byte* submissionCells() const { return data_ + LayoutFor(size_.ringCapacity).submissionOffset; }
  std::byte* completionCells() const { return data_ + LayoutFor(size_.ringCapacity).completionOffset; }
  std::byte* arena() const { return data_ + LayoutFor(size_.ringCapacity).arenaOffset; }
  std::uint64_t arenaBytes() const { return size_.regionBytes - LayoutFor(size_.ringCapacity).arenaOffset; }

 private:
  Region(std::byte* data, RegionSize size) : data_(data), size_(size) {}

  std::byte* data_ = nullptr;
  RegionSize size_;
};

// True for sizes that both sides accept.
bool IsRegionSize(const RegionSize& size);

}  // namespace interleave
