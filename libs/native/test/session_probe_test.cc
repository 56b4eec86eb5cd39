// Inputs made up for a measurement.
#include <gtest/gtest.h>

#include <cstring>

#include "session/probe_item.h"

namespace interleave {
namespace {

TensorSpec Spec(std::string name, ElementType type, std::vector<std::int64_t> dims, std::vector<Axis> axes) {
  TensorSpec spec{.name = std::move(name), .type = type, .shape = {}, .axes = {}};
  spec.shape.rank = static_cast<std::uint8_t>(dims.size());
  std::copy(dims.begin(), dims.end(), spec.shape.dims.begin());
  std::copy(axes.begin(), axes.end(), spec.axes.begin());
  return spec;
}

Signature SignatureOf(std::vector<TensorSpec> inputs, bool hasBatchAxis, int sequenceAxes) {
  Signature signature;
  signature.inputs = std::move(inputs);
  signature.outputs = {Spec("out", ElementType::kFloat32, {-1}, {Axis::kBatch})};
  signature.hasBatchAxis = hasBatchAxis;
  signature.sequenceAxes = sequenceAxes;
  return signature;
}

TEST(ProbeItem, HasOnesInMasksAndZerosElsewhere) {
  const std::vector<Axis> axes{Axis::kBatch, Axis::kSequence0};
  const Signature signature = SignatureOf({Spec("input_ids", ElementType::kInt64, {-1, -1}, axes),
                                           Spec("attention_mask", ElementType::kFloat16, {-1, -1}, axes)},
                                          true, 1);
  const ProbeItem probe = MakeProbeItem(signature, 2, 3);
  EXPECT_EQ(probe.shape.rows, 2);
  EXPECT_EQ(probe.shape.lengths[0], 3);
  EXPECT_EQ(probe.bytes[0], std::vector<std::byte>(2 * 3 * 8));
  ASSERT_EQ(probe.bytes[1].size(), 2U * 3 * 2);
  for (std::size_t i = 0; i < 6; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, probe.bytes[1].data() + 2 * i, 2);
    EXPECT_EQ(bits, 0x3c00);
  }
}

TEST(ProbeItem, SharesTheTokensBetweenTwoSequenceAxes) {
  const Signature signature =
      SignatureOf({Spec("a", ElementType::kFloat32, {-1, -1}, {Axis::kBatch, Axis::kSequence0}),
                   Spec("b", ElementType::kFloat32, {-1, -1}, {Axis::kBatch, Axis::kSequence1})},
                  true, 2);
  EXPECT_EQ(MakeProbeItem(signature, 1, 7).shape.lengths, (std::array<std::int64_t, 2>{4, 3}));
  EXPECT_THROW(MakeProbeItem(signature, 1, 1), SignatureError);
}

TEST(ProbeItem, HoldsEmptyStrings) {
  const Signature signature = SignatureOf({Spec("text", ElementType::kString, {-1}, {Axis::kBatch})}, true, 0);
  const ProbeItem probe = MakeProbeItem(signature, 3, 1);
  EXPECT_EQ(probe.strings[0].views, (std::vector<std::string_view>{"", "", ""}));
}

TEST(ProbeItem, SaysWhatTheModelDoesNotHave) {
  const Signature fixed =
      SignatureOf({Spec("x", ElementType::kFloat32, {2, 3}, {Axis::kFixed, Axis::kFixed})}, false, 0);
  EXPECT_EQ(MakeProbeItem(fixed, 1, 1).shape.rows, 1);
  EXPECT_THROW(MakeProbeItem(fixed, 2, 1), SignatureError);
  EXPECT_THROW(MakeProbeItem(fixed, 1, 2), SignatureError);
  const Signature free =
      SignatureOf({Spec("x", ElementType::kFloat32, {-1, -1}, {Axis::kBatch, Axis::kFree})}, true, 0);
  EXPECT_THROW(MakeProbeItem(free, 1, 1), SignatureError);
}

}  // namespace
}  // namespace interleave
