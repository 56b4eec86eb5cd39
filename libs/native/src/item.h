// What the channel hands to the executors and gets back: the port between `channel/` and `session/`.
// Neither side includes the other; both include this file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace interleave {

inline constexpr std::size_t kRankMax = 8;
inline constexpr std::size_t kTensorsMax = 64;

// Dimensions of a tensor, outermost first. Unused entries are 0.
struct Shape {
  std::uint8_t rank = 0;
  std::array<std::int64_t, kRankMax> dims{};
};

// ONNX element types, numbered as ONNXTensorElementDataType of ONNX Runtime's C API.
enum class ElementType : std::uint8_t {
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBfloat16 = 16,
};

// Bytes of one element; 0 for strings, whose elements are a uint32 length followed by the bytes.
std::size_t ElementBytes(ElementType type);

// One tensor of a request. `data` points into the client's region: stable until the item is answered, but the client
// may write to it at any time, so nothing that is read from it may be trusted as a size or an index.
struct TensorView {
  std::uint16_t index = 0;  // position among the model's inputs
  ElementType type = ElementType::kFloat32;
  Shape shape;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

enum class ItemStatus : std::uint8_t {
  kOk = 0,
  kInvalid = 1,           // the request does not fit the model's signature
  kFailed = 2,            // ONNX Runtime refused or failed on this input
  kDeadlineExceeded = 3,  // passed while waiting
  kCancelled = 4,         // by the client, while waiting
  kResponseTooLarge = 5,  // message is the number of bytes needed, in decimal
  kUnavailable = 6,       // model not ready, or the worker is draining
  kQueueFull = 7,
  kRunTimeout = 8,  // the run was ended by the watchdog
  kGone = 9,        // the worker has not the revision (any more); nothing was run
};

struct ItemTimes {
  std::int64_t enqueuedNs = 0;  // CLOCK_MONOTONIC
  std::int64_t startedNs = 0;
  std::int64_t endedNs = 0;
  std::uint32_t runRows = 0;
};

// Where the answer of one item goes. Owned by the item; exactly one of Finish and Fail is called, from any one thread.
// After either the item's memory belongs to the client again. Both are no-ops when the client has gone.
class Responder {
 public:
  virtual ~Responder() = default;

  // Marks the item as being run, in memory that the client can read after this process has died: an item that was
  // running when a worker died is a suspect and is resubmitted alone.
  virtual void MarkRunning() = 0;
  // Its run is about to cost this process its life: of those that are running, it is the only kind of suspect. May be
  // called in a signal handler.
  virtual void MarkGuilty() = 0;

  // Reserves `bytes` for output `index` in the response memory, 64-byte aligned; nullptr when it does not fit (answer
  // kResponseTooLarge then).
  virtual std::byte* AddOutput(std::uint16_t index, ElementType type, const Shape& shape, std::size_t bytes) = 0;

  virtual void Finish(const ItemTimes& times) = 0;
  virtual void Fail(ItemStatus status, std::string_view message) = 0;
};

// One queued request. Moved, never copied.
struct Item {
  std::uint64_t clientId = 0;
  std::uint64_t itemId = 0;     // unique within the client
  std::uint32_t revision = 0;   // of the model that it is for: only that one may answer it; as WorkerModelPlan.revision
                                // of libs/contracts, which fits 32 bits
  std::uint8_t priority = 0;    // 0 default, 1 highest, larger lower
  bool alone = false;           // never share a run (a suspect)
  bool ahead = false;           // goes before all others and waits for no run in progress (see QueueEntry)
  std::int64_t deadlineNs = 0;  // CLOCK_MONOTONIC; 0: none
  std::uint64_t outputMask = 0;  // bit i: output i is wanted; 0: all
  std::vector<TensorView> inputs;
  std::unique_ptr<Responder> responder;
};

// Receives what clients send; called on the channel's I/O thread only, must not block.
class ItemSink {
 public:
  virtual ~ItemSink() = default;
  virtual void OnItem(Item item) = 0;
  virtual void OnCancel(std::uint64_t clientId, std::uint64_t itemId) = 0;
  // The client's socket closed: its waiting items must be dropped soon. Their memory stays mapped until the last
  // responder of the client is destroyed.
  virtual void OnClientGone(std::uint64_t clientId) = 0;
};

}  // namespace interleave
