#include "channel/blocks.h"

#include <algorithm>
#include <cstring>

namespace interleave {
namespace {

constexpr auto kStatusLast = static_cast<std::uint32_t>(ItemStatus::kGone);

std::uint32_t* StateWord(const Block& block) { return &reinterpret_cast<ResponseHeader*>(block.data)->state; }

TensorDescriptor Describe(std::uint16_t index, ElementType type, const Shape& shape, std::uint64_t offset,
                          std::uint64_t bytes) {
  return {index, static_cast<std::uint8_t>(type), shape.rank, 0, shape.dims, offset, bytes};
}

// `dataStart`: where data may begin in the block.
std::optional<TensorView> View(const Block& block, const TensorDescriptor& tensor, std::uint64_t dataStart) {
  TensorView view;
  view.index = tensor.index;
  view.type = static_cast<ElementType>(tensor.type);
  view.shape = {tensor.rank, tensor.dims};
  if (tensor.index >= kTensorsMax || !IsTensorSize(view.type, view.shape, tensor.dataBytes)) return std::nullopt;
  if (tensor.dataOffset % kLineBytes != 0 || tensor.dataOffset < dataStart || tensor.dataOffset > block.bytes ||
      tensor.dataBytes > block.bytes - tensor.dataOffset) {
    return std::nullopt;
  }
  view.data = block.data + tensor.dataOffset;
  view.bytes = tensor.dataBytes;
  return view;
}

std::uint64_t InputDataOffset(std::size_t inputs) {
  return AlignUp(sizeof(RequestHeader) + inputs * sizeof(TensorDescriptor), kLineBytes);
}

}  // namespace

std::optional<Block> BlockAt(std::byte* arena, std::uint64_t arenaBytes, std::uint64_t offset, std::uint64_t bytes) {
  if (offset % kLineBytes != 0 || offset > arenaBytes || bytes > arenaBytes - offset) return std::nullopt;
  return Block{arena + offset, bytes};
}

bool IsTensorSize(ElementType type, const Shape& shape, std::uint64_t bytes) {
  const std::size_t elementBytes = type == ElementType::kString ? sizeof(std::uint32_t) : ElementBytes(type);
  if (elementBytes == 0 || shape.rank > kRankMax) return false;
  std::uint64_t total = elementBytes;
  bool empty = false;
  for (std::size_t i = 0; i < shape.rank; ++i) {
    if (shape.dims[i] < 0) return false;
    if (shape.dims[i] == 0) empty = true;
    const auto dim = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(shape.dims[i]));
    if (__builtin_mul_overflow(total, dim, &total)) return false;
  }
  if (empty) return bytes == 0;
  return type == ElementType::kString ? bytes >= total : bytes == total;
}

std::uint64_t RequestBytes(const Request& request) {
  std::uint64_t bytes = InputDataOffset(request.inputs.size());
  for (const TensorView& input : request.inputs) bytes += AlignUp(input.bytes, kLineBytes);
  return bytes;
}

void WriteRequest(const Block& block, std::uint64_t itemId, const Request& request) {
  RequestHeader header{};
  header.itemId = itemId;
  header.deadlineNs = request.deadlineNs;
  header.outputMask = request.outputMask;
  header.revision = request.revision;
  header.inputCount = static_cast<std::uint16_t>(request.inputs.size());
  header.priority = request.priority;
  header.flags = static_cast<std::uint8_t>((request.alone ? kFlagAlone : 0) | (request.ahead ? kFlagAhead : 0));
  CopyOut(block.data, header);
  std::byte* descriptor = block.data + sizeof header;
  std::uint64_t offset = InputDataOffset(request.inputs.size());
  for (const TensorView& input : request.inputs) {
    CopyOut(descriptor, Describe(input.index, input.type, input.shape, offset, input.bytes));
    if (input.bytes > 0) std::memcpy(block.data + offset, input.data, input.bytes);
    descriptor += sizeof(TensorDescriptor);
    offset += AlignUp(input.bytes, kLineBytes);
  }
}

std::optional<Item> ReadRequest(const Block& block, std::uint64_t itemId) {
  if (block.bytes < sizeof(RequestHeader)) return std::nullopt;
  const auto header = CopyIn<RequestHeader>(block.data);
  constexpr int kFlags = kFlagAlone | kFlagAhead;
  if (header.itemId != itemId || header.inputCount > kTensorsMax || (header.flags & ~kFlags) != 0) return std::nullopt;
  const std::uint64_t dataStart = InputDataOffset(header.inputCount);
  if (block.bytes < dataStart) return std::nullopt;
  Item item;
  item.itemId = itemId;
  item.revision = header.revision;
  item.priority = header.priority;
  item.alone = (header.flags & kFlagAlone) != 0;
  item.ahead = (header.flags & kFlagAhead) != 0;
  item.deadlineNs = header.deadlineNs;
  item.outputMask = header.outputMask;
  item.inputs.reserve(header.inputCount);
  std::uint64_t seen = 0;
  static_assert(kTensorsMax <= 64);
  for (std::size_t i = 0; i < header.inputCount; ++i) {
    const auto descriptor = CopyIn<TensorDescriptor>(block.data + sizeof header + i * sizeof(TensorDescriptor));
    const auto view = View(block, descriptor, dataStart);
    if (!view || (seen >> view->index & 1) != 0) return std::nullopt;
    seen |= std::uint64_t{1} << view->index;
    item.inputs.push_back(*view);
  }
  return item;
}

void ResponseWriter::MarkRunning() {
  std::atomic_ref(*StateWord(block_))
      .store(static_cast<std::uint32_t>(ResponseState::kRunning), std::memory_order_relaxed);
}

void ResponseWriter::MarkGuilty() {
  std::atomic_ref(*StateWord(block_))
      .store(static_cast<std::uint32_t>(ResponseState::kGuilty), std::memory_order_relaxed);
}

std::byte* ResponseWriter::AddOutput(std::uint16_t index, ElementType type, const Shape& shape, std::size_t bytes) {
  const std::uint64_t descriptorBytes = (outputCount_ + 1) * sizeof(TensorDescriptor);
  if (outputCount_ == kTensorsMax || descriptorBytes > block_.bytes) return nullptr;
  const std::uint64_t limit = block_.bytes - descriptorBytes;
  if (cursor_ > limit || bytes > limit - cursor_) return nullptr;
  std::byte* data = block_.data + cursor_;
  CopyOut(block_.data + limit, Describe(index, type, shape, cursor_, bytes));
  cursor_ = AlignUp(cursor_ + bytes, kLineBytes);
  ++outputCount_;
  return data;
}

void ResponseWriter::Finish(const ItemTimes& times) {
  ResponseHeader header{};
  header.status = static_cast<std::uint32_t>(ItemStatus::kOk);
  header.outputCount = outputCount_;
  header.enqueuedNs = times.enqueuedNs;
  header.startedNs = times.startedNs;
  header.endedNs = times.endedNs;
  header.runRows = times.runRows;
  End(header);
}

void ResponseWriter::Fail(ItemStatus status, std::string_view message) {
  const std::size_t bytes =
      std::min({message.size(), kMessageBytesMax, std::size_t{block_.bytes - kResponseDataOffset}});
  std::memcpy(block_.data + kResponseDataOffset, message.data(), bytes);
  ResponseHeader header{};
  header.status = static_cast<std::uint32_t>(status);
  header.messageBytes = static_cast<std::uint32_t>(bytes);
  End(header);
}

void ResponseWriter::End(ResponseHeader header) {
  // Everything but the state first. The word that holds the state is written by the release store below alone, because
  // a client that finds this process dead may read the state at any moment.
  auto* fields = reinterpret_cast<std::byte*>(block_.data);
  struct Rest {
    std::uint64_t words[(sizeof(ResponseHeader) - sizeof(std::uint64_t)) / sizeof(std::uint64_t)];
  } rest;
  std::memcpy(&rest, reinterpret_cast<const std::byte*>(&header) + sizeof(std::uint64_t), sizeof rest);
  CopyOut(fields + sizeof(std::uint64_t), rest);
  std::atomic_ref(reinterpret_cast<ResponseHeader*>(fields)->status).store(header.status, std::memory_order_relaxed);
  // Release: pairs with the acquire load in ReadResponseState.
  std::atomic_ref(*StateWord(block_))
      .store(static_cast<std::uint32_t>(ResponseState::kDone), std::memory_order_release);
}

void InitResponse(const Block& block) { CopyOut(block.data, ResponseHeader{}); }

ResponseState ReadResponseState(const Block& block) {
  // Acquire: pairs with the release store in ResponseWriter::End.
  const std::uint32_t state = std::atomic_ref(*StateWord(block)).load(std::memory_order_acquire);
  if (state == static_cast<std::uint32_t>(ResponseState::kDone)) return ResponseState::kDone;
  if (state == static_cast<std::uint32_t>(ResponseState::kGuilty)) return ResponseState::kGuilty;
  return state == static_cast<std::uint32_t>(ResponseState::kWaiting) ? ResponseState::kWaiting
                                                                      : ResponseState::kRunning;
}

std::optional<Response> ReadResponse(const Block& block) {
  const auto header = CopyIn<ResponseHeader>(block.data);
  if (header.status > kStatusLast || header.outputCount > kTensorsMax) return std::nullopt;
  const std::uint64_t descriptorBytes = header.outputCount * sizeof(TensorDescriptor);
  if (descriptorBytes > block.bytes - kResponseDataOffset) return std::nullopt;
  if (header.messageBytes > block.bytes - kResponseDataOffset) return std::nullopt;
  Response response;
  response.status = static_cast<ItemStatus>(header.status);
  response.times = {header.enqueuedNs, header.startedNs, header.endedNs, header.runRows};
  response.message.assign(reinterpret_cast<const char*>(block.data + kResponseDataOffset), header.messageBytes);
  for (std::uint32_t i = 0; i < header.outputCount; ++i) {
    const auto descriptor = CopyIn<TensorDescriptor>(block.data + block.bytes - (i + 1) * sizeof(TensorDescriptor));
    const auto view = View({block.data, block.bytes - descriptorBytes}, descriptor, kResponseDataOffset);
    if (!view) return std::nullopt;
    response.outputs.push_back(*view);
  }
  return response;
}

}  // namespace interleave
