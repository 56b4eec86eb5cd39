// What is checked and moved before and after a run, without a runtime.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "session/item_check.h"
#include "session/pad_value.h"
#include "session/run_layout.h"
#include "session/strings.h"
#include "session/tensor_box.h"

namespace interleave {
namespace {

Shape ShapeOf(const std::vector<std::int64_t>& dims) {
  Shape shape{.rank = static_cast<std::uint8_t>(dims.size()), .dims = {}};
  std::copy(dims.begin(), dims.end(), shape.dims.begin());
  return shape;
}

class CheckItemTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto spec = [](const char* name, ElementType type, const std::vector<std::int64_t>& dims,
                         const std::vector<Axis>& axes) {
      TensorSpec made{.name = name, .type = type, .shape = ShapeOf(dims), .axes = {}};
      std::copy(axes.begin(), axes.end(), made.axes.begin());
      return made;
    };
    signature_.inputs = {
        spec("ids", ElementType::kInt64, {-1, -1}, {Axis::kBatch, Axis::kSequence0}),
        spec("mask", ElementType::kInt64, {-1, -1}, {Axis::kBatch, Axis::kSequence0}),
        spec("extra", ElementType::kFloat32, {-1, 2, -1}, {Axis::kBatch, Axis::kFixed, Axis::kFree}),
        spec("text", ElementType::kString, {-1}, {Axis::kBatch}),
    };
    signature_.outputs = {spec("y", ElementType::kFloat32, {-1}, {Axis::kBatch})};
    item_.inputs = {View(0, ElementType::kInt64, {2, 3}), View(1, ElementType::kInt64, {2, 3}),
                    View(2, ElementType::kFloat32, {2, 2, 5}), View(3, ElementType::kString, {2})};
  }
  static TensorView View(std::uint16_t index, ElementType type, const std::vector<std::int64_t>& dims) {
    TensorView view{.index = index, .type = type, .shape = ShapeOf(dims)};
    const std::size_t bytes = type == ElementType::kString ? sizeof(std::uint32_t) : ElementBytes(type);
    view.bytes = bytes * static_cast<std::size_t>(std::max<std::int64_t>(0, ElementCount(view.shape)));
    return view;
  }
  std::string Check() {
    shape_ = {};
    return CheckItem(signature_, item_, shape_);
  }
  void ExpectWrong(const std::vector<std::string>& words) {
    const std::string wrong = Check();
    for (const std::string& word : words) EXPECT_NE(wrong.find(word), std::string::npos) << word << " in: " << wrong;
  }

  Signature signature_;
  Item item_;
  ItemShape shape_;
};

TEST_F(CheckItemTest, AcceptsWhatFitsInAnyOrder) {
  std::swap(item_.inputs[0], item_.inputs[3]);
  EXPECT_EQ(Check(), "");
  EXPECT_EQ(shape_.rows, 2);
  EXPECT_EQ(shape_.lengths[0], 3);
  EXPECT_FALSE(shape_.isOdd);
  EXPECT_EQ(item_.inputs[0].index, 0);
  EXPECT_EQ(item_.outputMask, 1U);
}

TEST_F(CheckItemTest, LetsRowsBePaddedWhoseMasksAreAllOnes) {
  signature_.coalesce = CoalesceMode::kPadded;
  signature_.sequenceAxes = 1;
  for (const auto& [type, one] : {std::pair{ElementType::kInt64, 1.0},
                                  {ElementType::kInt32, 1.0},
                                  {ElementType::kBool, 1.0},
                                  {ElementType::kFloat32, 1.0}}) {
    signature_.inputs[1].type = type;
    std::vector<std::byte> bytes;
    item_.inputs[1] = View(1, type, {2, 3});
    const auto mayBePadded = [&](double last) {
      bytes.clear();
      for (int i = 0; i < 6; ++i) {
        const PadValue value = EncodePadValue(type, i == 5 ? last : one);
        bytes.insert(bytes.end(), value.bytes.begin(),
                     value.bytes.begin() + static_cast<std::ptrdiff_t>(ElementBytes(type)));
      }
      item_.inputs[1].data = bytes.data();
      EXPECT_EQ(Check(), "");
      return shape_.mayBePadded;
    };
    EXPECT_TRUE(mayBePadded(1));
    EXPECT_FALSE(mayBePadded(0));
    EXPECT_TRUE(type == ElementType::kBool || !mayBePadded(2));
    EXPECT_TRUE(type != ElementType::kFloat32 || !mayBePadded(0.5));
    signature_.coalesce = CoalesceMode::kEqualLength;
    EXPECT_TRUE(mayBePadded(0));
    signature_.coalesce = CoalesceMode::kPadded;
  }
}

TEST_F(CheckItemTest, NamesMissingRepeatedAndUnknownInputs) {
  item_.inputs.pop_back();
  ExpectWrong({"\"text\"", "missing"});
  item_.inputs.erase(item_.inputs.begin());
  ExpectWrong({"\"ids\"", "missing"});
  item_.inputs.push_back(View(2, ElementType::kFloat32, {2, 2, 5}));
  item_.inputs.push_back(View(0, ElementType::kInt64, {2, 3}));
  ExpectWrong({"\"extra\"", "twice"});
  item_.inputs = {View(9, ElementType::kInt64, {2, 3})};
  ExpectWrong({"number 9", "4 inputs"});
  item_.inputs.clear();
  ExpectWrong({"\"ids\"", "missing"});
}

TEST_F(CheckItemTest, NamesExpectedAndReceivedType) {
  item_.inputs[1] = View(1, ElementType::kInt32, {2, 3});
  ExpectWrong({"\"mask\"", "INT64", "INT32"});
}

TEST_F(CheckItemTest, NamesExpectedAndReceivedShape) {
  item_.inputs[2] = View(2, ElementType::kFloat32, {2, 3, 5});
  ExpectWrong({"\"extra\"", "[-1,2,-1]", "[2,3,5]"});
  item_.inputs[2] = View(2, ElementType::kFloat32, {2, 2});
  ExpectWrong({"\"extra\"", "[-1,2,-1]", "[2,2]"});
  item_.inputs[2] = View(2, ElementType::kFloat32, {2, 2, -5});
  ExpectWrong({"\"extra\"", "[2,2,-5]"});
  item_.inputs[2] = View(2, ElementType::kFloat32, {std::int64_t{1} << 40, 2, 0});
  ExpectWrong({"\"extra\"", "1099511627776"});
}

TEST_F(CheckItemTest, NamesExpectedAndReceivedBytes) {
  item_.inputs[0].bytes = 47;
  ExpectWrong({"\"ids\"", "48 bytes", "47"});
  item_.inputs[0].bytes = 48;
  item_.inputs[3].bytes = 7;
  ExpectWrong({"\"text\"", "at least 8", "7"});
}

TEST_F(CheckItemTest, LeavesRowsAndLengthsThatDisagreeToTheRuntime) {
  EXPECT_EQ(Disagreement(signature_, item_), "");
  item_.inputs[1] = View(1, ElementType::kInt64, {2, 4});
  EXPECT_EQ(Check(), "");
  EXPECT_TRUE(shape_.isOdd);
  EXPECT_EQ(shape_.lengths[0], 4);
  EXPECT_EQ(Disagreement(signature_, item_),
            "input \"mask\": expected 3 as sequence length as in input \"ids\" but received 4");
  item_.inputs[1] = View(1, ElementType::kInt64, {1, 3});
  EXPECT_EQ(Check(), "");
  EXPECT_TRUE(shape_.isOdd);
  EXPECT_EQ(shape_.rows, 2);
  EXPECT_EQ(Disagreement(signature_, item_), "input \"mask\": expected 2 rows as in input \"ids\" but received 1");
}

TEST_F(CheckItemTest, TakesNoRowsButNotTooMany) {
  const auto withRows = [this](std::int64_t rows) {
    item_.inputs = {View(0, ElementType::kInt64, {rows, 3}), View(1, ElementType::kInt64, {rows, 3}),
                    View(2, ElementType::kFloat32, {rows, 2, 5}), View(3, ElementType::kString, {rows})};
  };
  withRows(0);
  EXPECT_EQ(Check(), "");
  EXPECT_TRUE(shape_.isOdd);
  EXPECT_EQ(shape_.rows, 0);
  withRows(kItemRowsMax + 1);
  ExpectWrong({"rows", std::to_string(kItemRowsMax + 1)});
}

TEST_F(CheckItemTest, RefusesOutputsThatDoNotExist) {
  item_.outputMask = 2;
  ExpectWrong({"outputs"});
}

TEST_F(CheckItemTest, GivesDifferentKeysToDifferentFreeDimensions) {
  Check();
  const std::uint64_t five = shape_.shapeKey;
  item_.inputs[2] = View(2, ElementType::kFloat32, {2, 2, 6});
  Check();
  EXPECT_NE(shape_.shapeKey, five);
}

TEST_F(CheckItemTest, MarksEmptyDimensions) {
  item_.inputs[2] = View(2, ElementType::kFloat32, {2, 2, 0});
  EXPECT_EQ(Check(), "");
  EXPECT_TRUE(shape_.isOdd);
}

TEST(ElementCount, RefusesWhatDoesNotFit) {
  EXPECT_EQ(ElementCount(ShapeOf({})), 1);
  EXPECT_EQ(ElementCount(ShapeOf({3, 0, 5})), 0);
  EXPECT_EQ(ElementCount(ShapeOf({-1, 2})), -1);
  EXPECT_EQ(ElementCount(ShapeOf({std::int64_t{1} << 40, std::int64_t{1} << 40})), -1);
}

TEST(Box, PadsEveryDimensionAndCutsItOutAgain) {
  const Shape runShape = ShapeOf({3, 4, 5, 2});
  const Shape itemShape = ShapeOf({2, 3, 5, 1});
  std::vector<std::int32_t> item(30);
  std::iota(item.begin(), item.end(), 1);
  std::vector<std::int32_t> batch(120, -1);
  auto* const batchBytes = reinterpret_cast<std::byte*>(batch.data());
  CopyIntoRun(batchBytes, runShape, 1, reinterpret_cast<const std::byte*>(item.data()), itemShape, 4,
              EncodePadValue(ElementType::kInt32, 7));

  EXPECT_EQ(std::count(batch.begin(), batch.begin() + 40, -1), 40) << "another item's row was touched";
  EXPECT_EQ(std::count(batch.begin() + 40, batch.end(), 7), 80 - 30 + 1);  // 7 is among the values
  BoxWalk walk(runShape, itemShape, 1);
  for (const std::int32_t value : item) EXPECT_EQ(batch[static_cast<std::size_t>(walk.Next())], value);
  EXPECT_EQ(walk.Next(), -1);

  std::vector<std::int32_t> cut(30);
  CutFromRun(reinterpret_cast<std::byte*>(cut.data()), itemShape, batchBytes, runShape, 1, 4);
  EXPECT_EQ(cut, item);
}

TEST(Box, MovesScalars) {
  const std::int64_t value = 5;
  std::int64_t copy = 0;
  CopyIntoRun(reinterpret_cast<std::byte*>(&copy), {}, 0, reinterpret_cast<const std::byte*>(&value), {}, 8, {});
  EXPECT_EQ(copy, 5);
  BoxWalk walk({}, {}, 0);
  EXPECT_EQ(walk.Next(), 0);
  EXPECT_EQ(walk.Next(), -1);
}

TEST(RunLayout, StacksRowsAndTakesTheLongest) {
  RunLayout layout;
  const std::vector<ItemShape> shapes{{.rows = 2, .lengths = {3, 0}}, {.rows = 1, .lengths = {5, 0}}};
  LayOut(shapes, layout);
  EXPECT_EQ(layout.rows, 3);
  EXPECT_EQ(layout.parts[1].rowStart, 2);
  EXPECT_EQ(layout.RealTokens(), 11);
  EXPECT_EQ(layout.PaddedTokens(), 15);
  EXPECT_TRUE(layout.IsPadded());
  LayOut(std::span(shapes).first(1), layout);
  EXPECT_FALSE(layout.IsPadded());
}

std::uint16_t Bits16(ElementType type, double value) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, EncodePadValue(type, value).bytes.data(), sizeof(bits));
  return bits;
}

TEST(PadValue, EncodesHalfPrecision) {
  const ElementType half = ElementType::kFloat16;
  EXPECT_EQ(Bits16(half, 0.0), 0x0000);
  EXPECT_EQ(Bits16(half, -0.0), 0x8000);
  EXPECT_EQ(Bits16(half, 1.0), 0x3c00);
  EXPECT_EQ(Bits16(half, -2.0), 0xc000);
  EXPECT_EQ(Bits16(half, 65504.0), 0x7bff);
  EXPECT_EQ(Bits16(half, 65520.0), 0x7c00);
  EXPECT_EQ(Bits16(half, -1e9), 0xfc00);
  EXPECT_EQ(Bits16(half, std::ldexp(1.0, -24)), 0x0001);
  EXPECT_EQ(Bits16(half, std::ldexp(1.0, -14)), 0x0400);
  EXPECT_EQ(Bits16(half, std::ldexp(1.0, -13)), 0x0800);
  EXPECT_EQ(Bits16(half, 1.0 + std::ldexp(1.0, -11)), 0x3c00);      // a tie, to even
  EXPECT_EQ(Bits16(half, 1.0 + 3 * std::ldexp(1.0, -11)), 0x3c02);  // a tie, to even
  EXPECT_EQ(Bits16(half, 2047.9), 0x6800);                          // carries into the exponent
  EXPECT_EQ(Bits16(half, std::numeric_limits<double>::quiet_NaN()) & 0x7e00, 0x7e00);
  EXPECT_EQ(Bits16(ElementType::kBfloat16, 1.0), 0x3f80);
  EXPECT_EQ(Bits16(ElementType::kBfloat16, -3.5), 0xc060);
}

TEST(PadValue, RefusesWhatDoesNotFit) {
  EXPECT_NO_THROW(EncodePadValue(ElementType::kInt8, -128));
  EXPECT_THROW(EncodePadValue(ElementType::kInt8, 128), std::invalid_argument);
  EXPECT_THROW(EncodePadValue(ElementType::kUint16, -1), std::invalid_argument);
  EXPECT_THROW(EncodePadValue(ElementType::kInt64, 0.5), std::invalid_argument);
  EXPECT_THROW(EncodePadValue(ElementType::kInt64, 9223372036854775808.0), std::invalid_argument);
  EXPECT_THROW(EncodePadValue(ElementType::kInt64, std::nan("")), std::invalid_argument);
  EXPECT_THROW(EncodePadValue(ElementType::kBool, 2), std::invalid_argument);
  EXPECT_THROW(EncodePadValue(ElementType::kString, 1), std::invalid_argument);
}

TEST(Strings, AreDecodedOnlyWhenTheyAddUp) {
  std::vector<std::byte> bytes(EncodedBytes("ab") + EncodedBytes(""));
  EncodeString(EncodeString(bytes.data(), "ab"), "");
  StringElements strings;
  ASSERT_TRUE(DecodeStrings(bytes.data(), bytes.size(), 2, strings));
  EXPECT_EQ(strings.views[0], "ab");
  EXPECT_EQ(strings.views[1], "");
  EXPECT_FALSE(DecodeStrings(bytes.data(), bytes.size(), 1, strings));
  EXPECT_FALSE(DecodeStrings(bytes.data(), bytes.size(), 3, strings));
  EXPECT_FALSE(DecodeStrings(bytes.data(), bytes.size() - 1, 2, strings));
  const std::uint32_t huge = 0xffffffff;
  std::memcpy(bytes.data(), &huge, sizeof(huge));
  EXPECT_FALSE(DecodeStrings(bytes.data(), bytes.size(), 2, strings));
  EXPECT_TRUE(DecodeStrings(bytes.data(), 0, 0, strings));
}

}  // namespace
}  // namespace interleave
