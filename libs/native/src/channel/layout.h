// Layout of the region that one client and one worker share. Bump kChannelVersion with every change of this file or of
// messages.h.
//
//   RegionHeader | submission cells | completion cells | arena
//
// Either process may be corrupted or hostile. Hence: no pointers; every position is computed from sizes that were
// agreed in the handshake, never read from the region; what is read from the region is copied first (CopyIn) and the
// copy is checked; every cache line has one writer.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "item.h"

namespace interleave {

inline constexpr std::uint64_t kRegionMagic = 0x4e4f494745524c49;  // "ILREGION"
inline constexpr std::uint32_t kChannelVersion = 4;
inline constexpr std::size_t kLineBytes = 64;
inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::uint32_t kRingCapacityMax = 1u << 15;
inline constexpr std::uint64_t kArenaBytesMax = std::uint64_t{1} << 33;

// A 64-bit word with a cache line of its own.
struct alignas(kLineBytes) Line {
  std::uint64_t word;
  std::array<std::byte, kLineBytes - sizeof(std::uint64_t)> unused;
};

struct RegionHeader {
  // Written by the client before the handshake, constant afterwards.
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t ringCapacity;
  std::uint64_t regionBytes;
  std::uint64_t arenaOffset;
  std::uint64_t arenaBytes;
  std::array<std::byte, 24> unused;
  // Written by the client. Ring positions count cells since the start and never wrap in practice (64 bits).
  Line submissionTail;
  Line completionHead;
  Line clientSleep;
  // Written by the worker.
  Line submissionHead;
  Line completionTail;
  Line workerSleep;
};
static_assert(sizeof(RegionHeader) == 7 * kLineBytes);
static_assert(offsetof(RegionHeader, submissionTail) == 1 * kLineBytes);
static_assert(offsetof(RegionHeader, submissionHead) == 4 * kLineBytes);

enum class CellKind : std::uint32_t { kSubmit = 1, kCancel = 2 };

// Client -> worker. Offsets count from the start of the arena.
struct alignas(kLineBytes) SubmissionCell {
  std::uint64_t itemId;
  std::uint64_t requestOffset;
  std::uint64_t requestBytes;
  std::uint64_t responseOffset;
  std::uint64_t responseBytes;
  CellKind kind;
  std::uint32_t reserved;
};
static_assert(sizeof(SubmissionCell) == kLineBytes);

// Worker -> client: this item's response block is done.
struct CompletionCell {
  std::uint64_t itemId;
};
static_assert(sizeof(CompletionCell) == 8);

// One tensor of a request or response block. `dataOffset` counts from the start of the block, 64-byte aligned.
struct TensorDescriptor {
  std::uint16_t index;
  std::uint8_t type;
  std::uint8_t rank;
  std::uint32_t reserved;
  std::array<std::int64_t, kRankMax> dims;
  std::uint64_t dataOffset;
  std::uint64_t dataBytes;
};
static_assert(sizeof(TensorDescriptor) == 88);

inline constexpr std::uint8_t kFlagAlone = 1;
inline constexpr std::uint8_t kFlagAhead = 2;

// A request block: RequestHeader | TensorDescriptor[inputCount] | data of each input, aligned.
struct RequestHeader {
  std::uint64_t itemId;
  std::int64_t deadlineNs;
  std::uint64_t outputMask;
  std::uint32_t revision;
  std::uint16_t inputCount;
  std::uint8_t priority;
  std::uint8_t flags;
};
static_assert(sizeof(RequestHeader) == 32);

// kGuilty: it was running, and its run is what killed the worker.
enum class ResponseState : std::uint32_t { kWaiting = 0, kRunning = 1, kDone = 2, kGuilty = 3 };

// A response block: ResponseHeader | message or data of each output, aligned ... TensorDescriptor[outputCount], the
// first one at the end of the block and the others downwards. Written by the worker, but for `state`, which the client
// sets to kWaiting before it submits. `state` can be read after the worker has died.
struct ResponseHeader {
  std::uint32_t state;
  std::uint32_t status;
  std::uint32_t outputCount;
  std::uint32_t messageBytes;
  std::int64_t enqueuedNs;
  std::int64_t startedNs;
  std::int64_t endedNs;
  std::uint32_t runRows;
  std::uint32_t reserved;
};
static_assert(sizeof(ResponseHeader) == 48);
inline constexpr std::size_t kResponseDataOffset = kLineBytes;
inline constexpr std::size_t kMessageBytesMax = 4096;
// Room for a header and a useful error message.
inline constexpr std::size_t kResponseBytesMin = 1024;

constexpr std::uint64_t AlignUp(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Where everything is, computed from the agreed sizes alone.
struct RegionLayout {
  std::uint32_t submissionCapacity;  // cells; twice the items in flight, so that cancels find room
  std::uint32_t completionCapacity;  // cells = items in flight
  std::uint64_t submissionOffset;
  std::uint64_t completionOffset;
  std::uint64_t arenaOffset;
};

// `ringCapacity` is a power of two of at most kRingCapacityMax.
constexpr RegionLayout LayoutFor(std::uint32_t ringCapacity) {
  RegionLayout layout{};
  layout.submissionCapacity = ringCapacity * 2;
  layout.completionCapacity = ringCapacity;
  layout.submissionOffset = sizeof(RegionHeader);
  layout.completionOffset = layout.submissionOffset + std::uint64_t{layout.submissionCapacity} * sizeof(SubmissionCell);
  layout.arenaOffset =
      AlignUp(layout.completionOffset + std::uint64_t{ringCapacity} * sizeof(CompletionCell), kPageBytes);
  return layout;
}

constexpr bool IsRingCapacity(std::uint32_t capacity) {
  return capacity != 0 && capacity <= kRingCapacityMax && (capacity & (capacity - 1)) == 0;
}

static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free, "shared atomics must not use a process-local lock");
static_assert(std::atomic_ref<std::uint32_t>::is_always_lock_free);

// Copies `T` out of shared memory, each word exactly once, so that the checks on the copy hold for what is used later:
// the compiler may not read the shared memory again. `source` is 8-byte aligned.
template <typename T>
T CopyIn(const std::byte* source) {
  static_assert(sizeof(T) % sizeof(std::uint64_t) == 0);
  std::array<std::uint64_t, sizeof(T) / sizeof(std::uint64_t)> words;
  auto* shared = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(source));
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = std::atomic_ref(shared[i]).load(std::memory_order_relaxed);
  T copy;
  std::memcpy(static_cast<void*>(&copy), words.data(), sizeof(T));
  return copy;
}

// The opposite of CopyIn; the reader is told by a release store elsewhere. `target` is 8-byte aligned.
template <typename T>
void CopyOut(std::byte* target, const T& value) {
  static_assert(sizeof(T) % sizeof(std::uint64_t) == 0);
  std::array<std::uint64_t, sizeof(T) / sizeof(std::uint64_t)> words;
  std::memcpy(words.data(), static_cast<const void*>(&value), sizeof(T));
  auto* shared = reinterpret_cast<std::uint64_t*>(target);
  for (std::size_t i = 0; i < words.size(); ++i) std::atomic_ref(shared[i]).store(words[i], std::memory_order_relaxed);
}

}  // namespace interleave
