#include "session/signature.h"

#include <gtest/gtest.h>

namespace interleave {
namespace {

using Declarations = std::vector<TensorDeclaration>;

TensorDeclaration Declare(const std::string& name, const std::vector<std::string>& dims, int elementType = 1) {
  TensorDeclaration declaration{.name = name, .elementType = elementType, .dims = {}, .symbols = {}};
  for (const std::string& dim : dims) {
    const bool isFixed = !dim.empty() && std::isdigit(static_cast<unsigned char>(dim[0]));
    declaration.dims.push_back(isFixed ? std::stoll(dim) : -1);
    declaration.symbols.push_back(isFixed ? "" : dim);
  }
  return declaration;
}

std::vector<Axis> AxesOf(const TensorSpec& spec) { return {spec.axes.begin(), spec.axes.begin() + spec.shape.rank}; }

using Axes = std::vector<Axis>;
constexpr Axis B = Axis::kBatch;
constexpr Axis S0 = Axis::kSequence0;
constexpr Axis S1 = Axis::kSequence1;
constexpr Axis Fixed = Axis::kFixed;
constexpr Axis Free = Axis::kFree;
constexpr Axis Unknown = Axis::kUnknown;

const Declarations kText{Declare("input_ids", {"batch", "seq"}, 7), Declare("attention_mask", {"batch", "seq"}, 7)};
const Declarations kHidden{Declare("hidden", {"batch", "seq", "8"})};

TEST(Signature, OfAnEncoderIsPadded) {
  const Signature signature = InferSignature(kText, kHidden, {});
  EXPECT_EQ(AxesOf(signature.inputs[0]), (Axes{B, S0}));
  EXPECT_EQ(AxesOf(signature.outputs[0]), (Axes{B, S0, Fixed}));
  EXPECT_EQ(signature.coalesce, CoalesceMode::kPadded);
  EXPECT_EQ(signature.coalesceReason, "");
  EXPECT_EQ(signature.sequenceAxes, 1);
}

TEST(Signature, WithoutMaskNeedsEqualLengths) {
  const Declarations ids{Declare("input_ids", {"batch", "seq"}, 7)};
  EXPECT_EQ(InferSignature(ids, kHidden, {}).coalesce, CoalesceMode::kEqualLength);
  EXPECT_EQ(InferSignature(ids, kHidden, {.paddingIsSafe = true}).coalesce, CoalesceMode::kPadded);
  EXPECT_EQ(InferSignature(kText, kHidden, {.paddingIsSafe = false}).coalesce, CoalesceMode::kEqualLength);
}

TEST(Signature, PadsWhatHasMasksAndIsNotNumbersOfTheCallers) {
  const auto reasonOf = [](const Declarations& inputs, const SignatureOptions& options = {}) {
    const Signature signature = InferSignature(inputs, kHidden, options);
    EXPECT_EQ(signature.coalesce == CoalesceMode::kPadded, signature.coalesceReason.empty());
    return signature.coalesceReason;
  };
  const TensorDeclaration mask = Declare("mask", {"batch", "seq"}, 7);
  const std::string advice =
      ", so padding could change answers; if padding leaves its answers alone, set paddingIsSafe: true in model.yaml";
  for (const int type : {1, 8, 10, 11, 16}) {
    const Declarations features{Declare("x", {"batch", "seq", "80"}, type), mask};
    EXPECT_EQ(reasonOf(features), "input \"x\" along the sequence axis is not of token ids" + advice) << type;
    EXPECT_EQ(reasonOf(features, {.paddingIsSafe = true}), "");
    EXPECT_EQ(
        reasonOf(features, {.mergeRows = MergeRows::kAlways}),
        "mergeRows: always says nothing of padding, and nothing was tried; if padding leaves its answers alone, set "
        "paddingIsSafe: true in model.yaml");
    EXPECT_EQ(reasonOf(features, {.paddingIsSafe = true, .mergeRows = MergeRows::kAlways}), "");
  }
  for (const int type : {2, 3, 4, 5, 6, 7, 9, 12, 13})
    EXPECT_EQ(reasonOf({Declare("x", {"batch", "seq"}, type), mask}), "") << type;
  EXPECT_EQ(reasonOf({Declare("scale", {"batch", "4"}), Declare("ids", {"batch", "seq"}, 7), mask}), "");
  EXPECT_EQ(reasonOf({Declare("ids", {"batch", "seq"}, 7), Declare("mask", {"batch", "seq"})}),
            "input \"mask\" along the sequence axis is a mask that does not hold integers" + advice);
  EXPECT_NE(reasonOf({Declare("ids", {"batch", "seq"}, 7), Declare("mask", {"batch", "4"}, 7)}).find("no mask input"),
            std::string::npos);
}

TEST(Signature, WithoutSequenceAxisIsPaddedWithNothingToPad) {
  const Signature signature = InferSignature({Declare("x", {"N", "4"})}, {Declare("y", {"N", "2"})}, {});
  EXPECT_EQ(signature.coalesce, CoalesceMode::kPadded);
  EXPECT_EQ(signature.sequenceAxes, 0);
}

TEST(Signature, TakesUnnamedFirstDimensionsForTheBatch) {
  const Signature signature = InferSignature({Declare("x", {"", "4"})}, {Declare("y", {"", ""})}, {});
  EXPECT_TRUE(signature.hasBatchAxis);
  EXPECT_EQ(AxesOf(signature.outputs[0]), (Axes{B, Unknown}));
}

TEST(Signature, TakesNoOtherNameOfAnOutputsFirstDimensionForTheBatch) {
  const auto axesOf = [](const std::string& name) {
    return AxesOf(InferSignature(kText, {Declare("y", {name, "8"})}, {}).outputs[0]);
  };
  for (const char* name : {"", "?", "batch", "batch_size", "unk__7"}) EXPECT_EQ(axesOf(name), (Axes{B, Fixed})) << name;
  EXPECT_EQ(axesOf("seq"), (Axes{S0, Fixed}));
  EXPECT_EQ(axesOf("found"), (Axes{Unknown, Fixed}));

  Signature proven = InferSignature(kText, {Declare("y", {"found", "8"})}, {});
  MarkRows(proven);
  EXPECT_EQ(AxesOf(proven.outputs[0]), (Axes{B, Fixed}));
}

TEST(Signature, TakesACommonNameForTheBatch) {
  EXPECT_TRUE(InferSignature({Declare("x", {"rows", "4"})}, {Declare("y", {"rows"})}, {}).hasBatchAxis);
  EXPECT_FALSE(InferSignature({Declare("x", {"num_tokens", "4"})}, {Declare("y", {"num_tokens"})}, {}).hasBatchAxis);
  EXPECT_FALSE(
      InferSignature({Declare("a", {"left"}), Declare("b", {"right"})}, {Declare("y", {"left"})}, {}).hasBatchAxis);
}

TEST(Signature, DoesNotTakePlaceholdersForOneAxis) {
  for (const char* name : {"?", "", "-1", "None", "none", "unknown", "DYN", "*", "0"}) {
    SCOPED_TRACE(name);
    TensorDeclaration image{.name = "x", .elementType = 1, .dims = {-1, 3, -1, -1}, .symbols = {name, "", name, name}};
    TensorDeclaration scores{.name = "y", .elementType = 1, .dims = {-1, 2}, .symbols = {name, ""}};
    const Signature signature = InferSignature({image}, {scores}, {});
    EXPECT_EQ(AxesOf(signature.inputs[0]), (Axes{B, Fixed, Free, Free}));
    EXPECT_EQ(AxesOf(signature.outputs[0]), (Axes{B, Fixed}));
    EXPECT_EQ(signature.coalesceReason, "");
  }
}

TEST(Signature, DoesNotReadNumbersOfExportersAsDifferentAxes) {
  for (const char* stem : {"unk__", "DynamicDimension.", "p2o.DynamicDimension.", "Transpose_1_dim_", "x_dynamic_axes_",
                           "Reshape_5_o0__d", "s"}) {
    SCOPED_TRACE(stem);
    const std::string name = stem;
    EXPECT_TRUE(InferSignature({Declare("a", {name + "3", "4"}), Declare("b", {name + "17", "4"})},
                               {Declare("y", {name + "21"})}, {})
                    .hasBatchAxis);
    EXPECT_FALSE(InferSignature({Declare("a", {name + "3"}), Declare("b", {"time"})}, {Declare("y", {"time"})}, {})
                     .hasBatchAxis);
  }
  EXPECT_TRUE(
      InferSignature({Declare("a", {"unk__1"}), Declare("b", {"batch"})}, {Declare("y", {"batch"})}, {}).hasBatchAxis);
}

TEST(Signature, ObeysNamesOfPlaceholdersInTheManifest) {
  const Signature signature = InferSignature({Declare("x", {"?", "?"})}, {Declare("y", {"?"})}, {.batchAxisName = "?"});
  EXPECT_TRUE(signature.hasBatchAxis);
  EXPECT_EQ(signature.coalesce, CoalesceMode::kAlone);
}

TEST(Signature, WithoutBatchAxisRunsAlone) {
  const Signature fixed = InferSignature({Declare("x", {"1", "seq"})}, {Declare("y", {"1"})}, {});
  EXPECT_EQ(fixed.coalesce, CoalesceMode::kAlone);
  EXPECT_NE(fixed.coalesceReason.find("\"x\""), std::string::npos);
  EXPECT_EQ(InferSignature({}, kHidden, {}).coalesce, CoalesceMode::kAlone);
}

TEST(Signature, RunsAloneWhenAnOutputHasNoRows) {
  for (const auto& dims : std::vector<std::vector<std::string>>{{}, {"1"}, {"seq", "batch"}, {"batch", "batch"}}) {
    const Signature signature = InferSignature(kText, {Declare("loss", dims)}, {});
    EXPECT_EQ(signature.coalesce, CoalesceMode::kAlone);
    EXPECT_NE(signature.coalesceReason.find("\"loss\""), std::string::npos);
  }
}

TEST(Signature, RunsAloneWhenToldTo) {
  EXPECT_EQ(InferSignature(kText, kHidden, {.mergeRows = MergeRows::kNever}).coalesce, CoalesceMode::kAlone);
}

TEST(Signature, HasUpToTwoSequenceAxes) {
  const Signature signature =
      InferSignature({Declare("a", {"batch", "left"}), Declare("a_mask", {"batch", "left"}),
                      Declare("b", {"batch", "right", "wide"}), Declare("b_mask", {"batch", "right"})},
                     {Declare("y", {"batch", "left", "right", "wide", "other"})}, {});
  EXPECT_EQ(AxesOf(signature.inputs[2]), (Axes{B, S1, Free}));
  EXPECT_EQ(AxesOf(signature.outputs[0]), (Axes{B, S0, S1, Free, Unknown}));
}

TEST(Signature, DoesNotPadAnAxisThatNoMaskCovers) {
  const Declarations inputs{Declare("chars", {"batch", "seq", "chars"}), Declare("mask", {"batch", "seq"})};
  EXPECT_EQ(AxesOf(InferSignature(inputs, kHidden, {}).inputs[0]), (Axes{B, S0, Free}));
  EXPECT_EQ(AxesOf(InferSignature(inputs, kHidden, {.paddingIsSafe = true}).inputs[0]), (Axes{B, S0, S1}));
}

TEST(Signature, ObeysNamesFromTheManifest) {
  const Declarations inputs{Declare("x", {"time", "chars"}, 7), Declare("x_mask", {"time", "chars"}, 7)};
  const Declarations outputs{Declare("y", {"time", "chars"})};
  EXPECT_FALSE(InferSignature(inputs, outputs, {}).hasBatchAxis);
  const Signature signature =
      InferSignature(inputs, outputs, {.batchAxisName = "time", .sequenceAxisNames = {"chars"}});
  EXPECT_EQ(AxesOf(signature.inputs[0]), (Axes{B, S0}));
  EXPECT_EQ(signature.coalesce, CoalesceMode::kPadded);
}

TEST(Signature, TakesNamesForDimensionsThatHaveNone) {
  const Declarations inputs{Declare("hidden", {"", "?", "8"}), Declare("mask", {"batch", "seq"}, 7)};
  const auto named = [&inputs](const std::vector<std::string>& names) {
    return InferSignature(inputs, kHidden, {.inputAxisNames = {{"hidden", names}}, .paddingIsSafe = true});
  };
  EXPECT_EQ(AxesOf(InferSignature(inputs, kHidden, {}).inputs[0]), (Axes{B, Free, Fixed}));
  EXPECT_EQ(AxesOf(named({"batch", "seq", ""}).inputs[0]), (Axes{B, S0, Fixed}));
  EXPECT_EQ(named({"batch", "seq", ""}).coalesce, CoalesceMode::kPadded);
  EXPECT_THROW(named({"batch", "seq"}), SignatureError);
  EXPECT_THROW(named({"batch", "seq", "width"}), SignatureError);
  EXPECT_THROW(InferSignature(inputs, kHidden, {.inputAxisNames = {{"other", {}}}}), SignatureError);
  EXPECT_THROW(InferSignature(inputs, kHidden, {.inputAxisNames = {{"mask", {"batch", "length"}}}}), SignatureError);
}

TEST(Signature, RefusesNamesThatTheGraphDoesNotHave) {
  EXPECT_THROW(InferSignature(kText, kHidden, {.batchAxisName = "rows"}), SignatureError);
  EXPECT_THROW(InferSignature(kText, kHidden, {.sequenceAxisNames = {"words"}}), SignatureError);
  EXPECT_THROW(InferSignature(kText, kHidden, {.sequenceAxisNames = {"seq", "seq", "seq"}}), SignatureError);
}

TEST(Signature, RefusesWhatIsNotServed) {
  for (const int elementType : {0, 14, 15, 17, 21, 99}) {
    EXPECT_THROW(InferSignature({Declare("x", {"batch"}, elementType)}, kHidden, {}), SignatureError) << elementType;
  }
  EXPECT_THROW(InferSignature(kText, {Declare("y", std::vector<std::string>(9, "1"))}, {}), SignatureError);
  EXPECT_THROW(InferSignature(Declarations(65, kText[0]), kHidden, {}), SignatureError);
}

}  // namespace
}  // namespace interleave
