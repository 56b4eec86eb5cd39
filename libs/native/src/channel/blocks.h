// Reading and writing request and response blocks. The readers take nothing from the other side on trust: they copy,
// check the copy, and hand out only positions inside the block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "channel/layout.h"
#include "item.h"

namespace interleave {

// A part of the arena. `data` is 64-byte aligned.
struct Block {
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
};

// The block [offset, offset + bytes) of an arena, or nullopt when it is not wholly inside or not aligned.
std::optional<Block> BlockAt(std::byte* arena, std::uint64_t arenaBytes, std::uint64_t offset, std::uint64_t bytes);

// True when `bytes` is what a tensor of this type and shape takes: exactly, or for strings at least one length per
// element.
bool IsTensorSize(ElementType type, const Shape& shape, std::uint64_t bytes);

// What a client wants to run.
struct Request {
  std::uint32_t revision = 0;
  std::uint8_t priority = 0;
  bool alone = false;
  bool ahead = false;
  std::int64_t deadlineNs = 0;      // CLOCK_MONOTONIC; 0: none
  std::uint64_t outputMask = 0;     // bit i: output i; 0: all
  std::uint64_t responseBytes = 0;  // size of the response block
  std::vector<TensorView> inputs;   // their data is copied on submission
};

// Bytes of the request block of `request`.
std::uint64_t RequestBytes(const Request& request);

// Preconditions: `block` has RequestBytes(request) bytes; inputs fit IsTensorSize and kTensorsMax.
void WriteRequest(const Block& block, std::uint64_t itemId, const Request& request);

// Fills in everything but `clientId` and `responder`. nullopt when the block breaks the protocol.
std::optional<Item> ReadRequest(const Block& block, std::uint64_t itemId);

// The worker's end of a response block. One thread at a time; never reads the block.
class ResponseWriter {
 public:
  explicit ResponseWriter(const Block& block) : block_(block) {}

  void MarkRunning();
  void MarkGuilty();
  // As Responder::AddOutput.
  std::byte* AddOutput(std::uint16_t index, ElementType type, const Shape& shape, std::size_t bytes);
  // Either ends the response; nothing may be written afterwards.
  void Finish(const ItemTimes& times);
  // `message` is cut to what fits.
  void Fail(ItemStatus status, std::string_view message);

 private:
  void End(ResponseHeader header);

  Block block_;
  std::uint64_t cursor_ = kResponseDataOffset;
  std::uint32_t outputCount_ = 0;
};

struct Response {
  ItemStatus status = ItemStatus::kOk;
  std::string message;
  std::vector<TensorView> outputs;  // data points into the block
  ItemTimes times;
};

// Bytes of a response block for `outputs` outputs that take `payloadBytes` together.
constexpr std::uint64_t ResponseBytesFor(std::uint64_t outputs, std::uint64_t payloadBytes) {
  return AlignUp(kResponseBytesMin + outputs * (sizeof(TensorDescriptor) + kLineBytes) + payloadBytes, kLineBytes);
}

// Before submission.
void InitResponse(const Block& block);
ResponseState ReadResponseState(const Block& block);
// nullopt when the block breaks the protocol. Precondition: the response is done.
std::optional<Response> ReadResponse(const Block& block);

}  // namespace interleave
