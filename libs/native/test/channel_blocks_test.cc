#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "channel/blocks.h"
#include "channel_harness.h"

namespace interleave {
namespace {

// 64-byte aligned memory with a known end, so that ASan sees what leaves the block.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : data_(static_cast<std::byte*>(std::aligned_alloc(64, bytes))), bytes_(bytes) {
    std::memset(data_, 0, bytes);
  }
  ~Memory() { std::free(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  Block block() const { return {data_, bytes_}; }

 private:
  std::byte* data_;
  std::size_t bytes_;
};

Request SomeRequest(std::mt19937_64& random, std::vector<std::string>& data) {
  static const ElementType kTypes[] = {ElementType::kFloat32, ElementType::kInt64, ElementType::kUint8,
                                       ElementType::kFloat16};
  Request request;
  request.revision = static_cast<std::uint32_t>(random());
  request.priority = static_cast<std::uint8_t>(random());
  request.alone = random() % 2 == 0;
  request.ahead = random() % 2 == 0;
  request.deadlineNs = static_cast<std::int64_t>(random() >> 1);
  request.outputMask = random();
  const std::size_t inputs = random() % 5;
  data.resize(inputs);
  for (std::size_t i = 0; i < inputs; ++i) {
    const ElementType type = kTypes[random() % 4];
    const std::vector<std::int64_t> dims{static_cast<std::int64_t>(random() % 4),
                                         static_cast<std::int64_t>(1 + random() % 7)};
    data[i] =
        std::string(static_cast<std::size_t>(dims[0] * dims[1]) * ElementBytes(type), static_cast<char>(random()));
    request.inputs.push_back(MakeTensor(static_cast<std::uint16_t>(i), type, dims, data[i].data(), data[i].size()));
  }
  return request;
}

bool IsInside(const TensorView& tensor, const Block& block) {
  return tensor.data >= block.data && tensor.bytes <= block.bytes &&
         static_cast<std::size_t>(tensor.data - block.data) <= block.bytes - tensor.bytes;
}

TEST(Blocks, ARequestIsReadAsItWasWritten) {
  std::mt19937_64 random(TestSeed());
  for (int run = 0; run < 500; ++run) {
    std::vector<std::string> data;
    const Request request = SomeRequest(random, data);
    const Memory memory(RequestBytes(request));
    WriteRequest(memory.block(), 7, request);
    const auto item = ReadRequest(memory.block(), 7);
    ASSERT_TRUE(item.has_value());
    EXPECT_EQ(item->revision, request.revision);
    EXPECT_EQ(item->priority, request.priority);
    EXPECT_EQ(item->alone, request.alone);
    EXPECT_EQ(item->ahead, request.ahead);
    EXPECT_EQ(item->deadlineNs, request.deadlineNs);
    EXPECT_EQ(item->outputMask, request.outputMask);
    ASSERT_EQ(item->inputs.size(), request.inputs.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
      EXPECT_EQ(item->inputs[i].type, request.inputs[i].type);
      EXPECT_EQ(item->inputs[i].shape.dims, request.inputs[i].shape.dims);
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(item->inputs[i].data), item->inputs[i].bytes), data[i]);
    }
    EXPECT_FALSE(ReadRequest(memory.block(), 8).has_value());
  }
}

// Whatever a hostile client writes into a request block, no tensor leaves the block and none has a size its shape
// denies.
TEST(Blocks, ACorruptRequestNeverYieldsMemoryOutsideTheBlock) {
  std::mt19937_64 random(TestSeed());
  std::size_t accepted = 0;
  for (int run = 0; run < 20'000; ++run) {
    std::vector<std::string> data;
    const Request request = SomeRequest(random, data);
    const Memory memory(RequestBytes(request));
    WriteRequest(memory.block(), 7, request);
    const std::size_t header =
        std::min<std::size_t>(memory.block().bytes, sizeof(RequestHeader) + 4 * sizeof(TensorDescriptor));
    for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
      // Past the item id, which would only make it be refused.
      memory.block().data[8 + random() % (header - 8)] = static_cast<std::byte>(random());
    }
    const auto item = ReadRequest(memory.block(), 7);
    if (!item) continue;
    ++accepted;
    for (const TensorView& input : item->inputs) {
      ASSERT_TRUE(IsInside(input, memory.block()));
      ASSERT_TRUE(IsTensorSize(input.type, input.shape, input.bytes));
    }
  }
  EXPECT_GT(accepted, 0u);
}

TEST(Blocks, ATensorSizeIsCheckedWithoutOverflow) {
  const auto shape = [](std::vector<std::int64_t> dims) {
    return MakeTensor(0, ElementType::kUint8, std::move(dims), nullptr, 0).shape;
  };
  EXPECT_TRUE(IsTensorSize(ElementType::kFloat32, shape({2, 3}), 24));
  EXPECT_FALSE(IsTensorSize(ElementType::kFloat32, shape({2, 3}), 23));
  EXPECT_TRUE(IsTensorSize(ElementType::kFloat32, shape({}), 4));
  EXPECT_TRUE(IsTensorSize(ElementType::kFloat32, shape({0, 1'000'000}), 0));
  EXPECT_FALSE(IsTensorSize(ElementType::kFloat32, shape({-1, -1}), 4));
  EXPECT_FALSE(IsTensorSize(ElementType::kUint8, shape({std::int64_t{1} << 32, std::int64_t{1} << 32}), 0));
  EXPECT_FALSE(IsTensorSize(ElementType::kUint64, shape({std::int64_t{1} << 61}), 0));
  EXPECT_TRUE(IsTensorSize(ElementType::kString, shape({2}), 9));
  EXPECT_FALSE(IsTensorSize(ElementType::kString, shape({2}), 7));
  EXPECT_FALSE(IsTensorSize(static_cast<ElementType>(200), shape({1}), 1));
}

TEST(Blocks, AResponseIsReadAsItWasWritten) {
  std::mt19937_64 random(TestSeed());
  for (int run = 0; run < 500; ++run) {
    const Memory memory(64 * (16 + random() % 64));
    InitResponse(memory.block());
    EXPECT_EQ(ReadResponseState(memory.block()), ResponseState::kWaiting);
    ResponseWriter writer(memory.block());
    writer.MarkRunning();
    EXPECT_EQ(ReadResponseState(memory.block()), ResponseState::kRunning);
    writer.MarkGuilty();
    EXPECT_EQ(ReadResponseState(memory.block()), ResponseState::kGuilty);
    std::vector<std::size_t> sizes;
    for (std::uint16_t index = 0; index < kTensorsMax; ++index) {
      const std::size_t bytes = random() % 700;
      Shape shape;
      shape.rank = 1;
      shape.dims[0] = static_cast<std::int64_t>(bytes);
      std::byte* data = writer.AddOutput(index, ElementType::kUint8, shape, bytes);
      if (data == nullptr) break;
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(data) % 64, 0u);
      std::memset(data, index, bytes);
      sizes.push_back(bytes);
    }
    writer.Finish({10, 20, 40, 3});
    ASSERT_EQ(ReadResponseState(memory.block()), ResponseState::kDone);
    const auto response = ReadResponse(memory.block());
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->status, ItemStatus::kOk);
    EXPECT_EQ(response->times.endedNs, 40);
    EXPECT_EQ(response->times.runRows, 3u);
    ASSERT_EQ(response->outputs.size(), sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      ASSERT_EQ(response->outputs[i].bytes, sizes[i]);
      for (std::size_t j = 0; j < sizes[i]; ++j) ASSERT_EQ(response->outputs[i].data[j], static_cast<std::byte>(i));
    }
  }
}

TEST(Blocks, ResponseBytesForIsEnough) {
  for (const std::uint64_t outputs : {1u, 3u, 64u}) {
    constexpr std::size_t kBytes = 1000;
    const Memory memory(ResponseBytesFor(outputs, outputs * kBytes));
    ResponseWriter writer(memory.block());
    Shape shape;
    shape.rank = 1;
    shape.dims[0] = kBytes;
    for (std::uint16_t i = 0; i < outputs; ++i)
      EXPECT_NE(writer.AddOutput(i, ElementType::kUint8, shape, kBytes), nullptr);
  }
}

TEST(Blocks, AMessageIsCutToWhatFits) {
  const Memory memory(kResponseBytesMin);
  InitResponse(memory.block());
  ResponseWriter(memory.block()).Fail(ItemStatus::kFailed, std::string(100'000, 'm'));
  const auto response = ReadResponse(memory.block());
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, ItemStatus::kFailed);
  EXPECT_EQ(response->message, std::string(kResponseBytesMin - kResponseDataOffset, 'm'));
}

TEST(Blocks, ACorruptResponseNeverYieldsMemoryOutsideTheBlock) {
  std::mt19937_64 random(TestSeed());
  std::size_t accepted = 0;
  for (int run = 0; run < 20'000; ++run) {
    const Memory memory(2048);
    InitResponse(memory.block());
    ResponseWriter writer(memory.block());
    Shape shape;
    shape.rank = 1;
    shape.dims[0] = 300;
    for (std::uint16_t i = 0; i < 3; ++i) writer.AddOutput(i, ElementType::kUint8, shape, 300);
    writer.Finish({});
    for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
      const std::size_t fromHeader = random() % sizeof(ResponseHeader);
      const std::size_t fromDescriptors = 2048 - 1 - random() % (3 * sizeof(TensorDescriptor));
      memory.block().data[random() % 2 == 0 ? fromHeader : fromDescriptors] = static_cast<std::byte>(random());
    }
    const auto response = ReadResponse(memory.block());
    if (!response) continue;
    ++accepted;
    for (const TensorView& output : response->outputs) {
      ASSERT_TRUE(IsInside(output, memory.block()));
      ASSERT_TRUE(IsTensorSize(output.type, output.shape, output.bytes));
    }
  }
  EXPECT_GT(accepted, 0u);
}

TEST(Blocks, ABlockMustLieInTheArena) {
  alignas(64) std::byte arena[256];
  EXPECT_TRUE(BlockAt(arena, 256, 64, 192).has_value());
  EXPECT_FALSE(BlockAt(arena, 256, 64, 193).has_value());
  EXPECT_FALSE(BlockAt(arena, 256, 1, 64).has_value());
  EXPECT_FALSE(BlockAt(arena, 256, 320, 0).has_value());
  EXPECT_FALSE(BlockAt(arena, 256, ~std::uint64_t{63}, 64).has_value());
}

}  // namespace
}  // namespace interleave
