// Sessions on the real runtime: what loads and what is refused, and that rows run together give what each gives alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "memory_responder.h"
#include "session/run_layout.h"
#include "session/session.h"
#include "test_models.h"

namespace interleave {
namespace {

using test::Answer;
using test::Dims;
using test::Tensor;
using test::TensorOf;

using Inputs = std::vector<Tensor>;

std::unique_ptr<Session> Load(const std::string& path, const ModelOptions& options = {}) {
  ModelOptions with = options;
  with.modelPath = path;
  return Session::Load(test::Library(), with);
}

// Runs the requests in one run and returns an answer each. Throws what Session::Run throws.
std::vector<Answer> RunTogether(Session& session, const std::vector<Inputs>& requests, std::uint64_t outputMask = 0) {
  test::Inbox inbox;
  std::vector<Item> items;
  std::vector<Item*> members;
  std::vector<ItemShape> shapes(requests.size());
  std::vector<std::vector<StringElements>> strings(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    items.push_back(test::MakeItem(inbox, i, requests[i]));
    items[i].outputMask = outputMask;
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string wrong = CheckItem(session.signature(), items[i], shapes[i]);
    EXPECT_EQ(wrong, "");
    members.push_back(&items[i]);
    strings[i].resize(items[i].inputs.size());
    for (std::size_t k = 0; k < items[i].inputs.size(); ++k) {
      const TensorView& view = items[i].inputs[k];
      if (view.type != ElementType::kString) continue;
      EXPECT_TRUE(
          DecodeStrings(view.data, view.bytes, static_cast<std::size_t>(ElementCount(view.shape)), strings[i][k]));
    }
  }
  RunLayout layout;
  LayOut(shapes, layout);
  Scratch scratch;
  const auto outputs = session.Run(members, layout, strings, scratch, nullptr);
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(session.Respond(outputs, layout, i, items[i]), 0U);
    items[i].responder->Finish({});
  }
  std::vector<Answer> answers;
  for (auto& [id, answer] : inbox.Now()) answers.push_back(answer);
  return answers;
}

std::vector<Answer> RunAlone(Session& session, const std::vector<Inputs>& requests) {
  std::vector<Answer> answers;
  for (const Inputs& inputs : requests) answers.push_back(RunTogether(session, {inputs})[0]);
  return answers;
}

void ExpectSame(const std::vector<Answer>& together, const std::vector<Answer>& alone) {
  ASSERT_EQ(together.size(), alone.size());
  for (std::size_t i = 0; i < alone.size(); ++i) {
    ASSERT_EQ(together[i].outputs.size(), alone[i].outputs.size());
    for (const auto& [index, expected] : alone[i].outputs) {
      const Tensor& actual = together[i].outputs.at(index);
      EXPECT_EQ(ShapeText(actual.shape), ShapeText(expected.shape)) << "item " << i << " output " << index;
      if (expected.type != ElementType::kFloat32) {
        EXPECT_EQ(actual.bytes, expected.bytes) << "item " << i << " output " << index;
        continue;
      }
      const auto a = actual.As<float>();
      const auto b = expected.As<float>();
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t k = 0; k < a.size(); ++k) {
        ASSERT_NEAR(a[k], b[k], 1e-5) << "item " << i << " output " << index << " element " << k;
      }
    }
  }
}

class SessionTest : public testing::Test {
 protected:
  std::mt19937 random_{static_cast<unsigned>(testing::UnitTest::GetInstance()->random_seed())};
  test::TempDir dir_;

  std::int64_t Pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  std::vector<std::int64_t> Integers(std::int64_t count, std::int64_t low, std::int64_t high) {
    std::vector<std::int64_t> values(static_cast<std::size_t>(count));
    for (auto& value : values) value = Pick(low, high);
    return values;
  }
  std::vector<float> Floats(std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (auto& value : values) value = std::uniform_real_distribution<float>(-2, 2)(random_);
    return values;
  }
  Inputs Text(std::int64_t rows, std::int64_t length) {
    return {TensorOf(ElementType::kInt64, {rows, length}, Integers(rows * length, 0, test::kVocabulary - 1)),
            TensorOf(ElementType::kInt64, {rows, length}, std::vector<std::int64_t>(rows * length, 1))};
  }
  Inputs Pair(std::int64_t rows, std::int64_t left, std::int64_t right) {
    return {TensorOf(ElementType::kFloat32, {rows, left}, Floats(rows * left)),
            TensorOf(ElementType::kFloat32, {rows, left}, std::vector<float>(rows * left, 1)),
            TensorOf(ElementType::kFloat32, {rows, right}, Floats(rows * right)),
            TensorOf(ElementType::kFloat32, {rows, right}, std::vector<float>(rows * right, 1))};
  }
};

TEST_F(SessionTest, ReadsTheSignatureOfAnEncoder) {
  const auto session = Load(test::MaskedEncoder(dir_.File("m.onnx")));
  const Signature& signature = session->signature();
  ASSERT_EQ(signature.inputs.size(), 2U);
  EXPECT_EQ(signature.inputs[1].name, "attention_mask");
  EXPECT_EQ(signature.inputs[0].type, ElementType::kInt64);
  EXPECT_EQ(signature.inputs[0].axes[0], Axis::kBatch);
  EXPECT_EQ(signature.inputs[0].axes[1], Axis::kSequence0);
  EXPECT_EQ(signature.outputs[0].axes[2], Axis::kFixed);
  EXPECT_EQ(signature.coalesce, CoalesceMode::kPadded);
}

TEST_F(SessionTest, SaysWhyAFileCannotBeLoaded) {
  EXPECT_THROW(Load(dir_.File("missing.onnx")), ort::OrtError);
  std::ofstream(dir_.File("broken.onnx")) << "not a model";
  EXPECT_THROW(Load(dir_.File("broken.onnx")), ort::OrtError);
}

TEST_F(SessionTest, RefusesPadValuesThatDoNotFit) {
  const std::string path = test::MaskedEncoder(dir_.File("m.onnx"));
  EXPECT_THROW(Load(path, {.padValues = {{"other", 0}}}), SignatureError);
  EXPECT_THROW(Load(path, {.padValues = {{"ids", 0.5}}}), SignatureError);
}

TEST(OrtLibrary, SaysWhichLibraryCannotBeUsed) {
  for (const char* path : {"/nowhere/libonnxruntime.so.1", "libm.so.6"}) {
    try {
      ort::OrtLibrary::Load(path);
      FAIL() << path << " was accepted";
    } catch (const ort::OrtError& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
  }
}

TEST_F(SessionTest, RunsTextsOfDifferentLengthsTogether) {
  const auto session = Load(test::MaskedEncoder(dir_.File("m.onnx")));
  const std::vector<Inputs> requests{Text(1, 7), Text(2, 3), Text(1, 12), Text(3, 1)};
  ExpectSame(RunTogether(*session, requests), RunAlone(*session, requests));
}

TEST_F(SessionTest, GivesOnlyTheOutputsAskedFor) {
  const auto session = Load(test::MaskedEncoder(dir_.File("m.onnx")));
  const auto answers = RunTogether(*session, {Text(1, 7), Text(2, 3)}, 2);
  EXPECT_EQ(answers[0].outputs.size(), 1U);
  EXPECT_EQ(ShapeText(answers[1].outputs.at(1).shape), "[2,4]");
}

TEST_F(SessionTest, PadsWithTheGivenValues) {
  const auto session = Load(test::MaskedEncoder(dir_.File("m.onnx")), {.padValues = {{"ids", test::kVocabulary + 1}}});
  // The pad value is out of the vocabulary: only a padded run sees it.
  EXPECT_NO_THROW(RunTogether(*session, {Text(1, 4), Text(1, 4)}));
  EXPECT_THROW(RunTogether(*session, {Text(1, 4), Text(1, 5)}), ort::OrtError);
}

TEST_F(SessionTest, LearnsWhatUnnamedOutputDimensionsAre) {
  const auto session = Load(test::MaskedEncoder(dir_.File("m.onnx"), false));
  ASSERT_EQ(session->signature().coalesce, CoalesceMode::kPadded);
  EXPECT_FALSE(session->outputAxes().IsSettled());
  // Length 4 is also the width: nothing can be said yet, and a padded run must not be cut.
  RunTogether(*session, {Text(1, 4)});
  EXPECT_THROW(RunTogether(*session, {Text(1, 4), Text(1, 3)}), NotTogether);
  EXPECT_NO_THROW(RunTogether(*session, {Text(1, 4), Text(1, 4)}));
  EXPECT_FALSE(session->outputAxes().IsSettled());
  RunTogether(*session, {Text(1, 9)});
  EXPECT_TRUE(session->outputAxes().IsSettled());
  const std::vector<Inputs> requests{Text(1, 4), Text(2, 3), Text(1, 2)};
  ExpectSame(RunTogether(*session, requests), RunAlone(*session, requests));
}

// The graph says [batch, length] and [batch]; the runtime gives [batch, length - 1] and [1].
std::string Lying(const std::string& path, bool aboutRows) {
  test::Graph graph;
  graph.Input("x", test::kFloat, {"batch", "length"})
      .Input("mask", test::kFloat, {"batch", "length"})
      .Initializer<std::int64_t>("one", test::kInt64, {1}, {1})
      .Initializer<std::int64_t>("zero", test::kInt64, {1}, {0})
      .Initializer<std::int64_t>("end", test::kInt64, {1}, {INT64_MAX});
  if (aboutRows) {
    graph.Output("y", test::kFloat, {"batch", "length"}).Node("Slice", {"x", "zero", "one", "zero"}, {"y"});
  } else {
    graph.Output("y", test::kFloat, {"batch", "length"}).Node("Slice", {"x", "one", "end", "one"}, {"y"});
  }
  return graph.Save(path);
}

TEST_F(SessionTest, FindsOutThatRowsCannotBeToldApart) {
  const auto session = Load(Lying(dir_.File("m.onnx"), true));
  const Inputs request{TensorOf(ElementType::kFloat32, {1, 5}, Floats(5)),
                       TensorOf(ElementType::kFloat32, {1, 5}, Floats(5))};
  EXPECT_NO_THROW(RunTogether(*session, {request}));
  EXPECT_TRUE(session->outputAxes().HasRows());
  EXPECT_THROW(RunTogether(*session, {request, request}), NotTogether);
  EXPECT_FALSE(session->outputAxes().HasRows());
}

TEST_F(SessionTest, FindsOutThatASequenceAxisIsNone) {
  const auto session = Load(Lying(dir_.File("m.onnx"), false));
  const auto request = [&](std::int64_t length) {
    return Inputs{TensorOf(ElementType::kFloat32, {1, length}, Floats(length)),
                  TensorOf(ElementType::kFloat32, {1, length}, Floats(length))};
  };
  EXPECT_TRUE(session->outputAxes().IsSettled());
  EXPECT_THROW(RunTogether(*session, {request(5), request(3)}), NotTogether);
  EXPECT_FALSE(session->outputAxes().IsSettled());
  const std::vector<Inputs> equal{request(5), request(5)};
  ExpectSame(RunTogether(*session, equal), RunAlone(*session, equal));
}

TEST_F(SessionTest, RefusesToShareARunBetweenDifferentFreeDimensions) {
  const auto session = Load(test::FreeAxis(dir_.File("m.onnx")));
  const auto request = [&](std::int64_t channels) {
    return Inputs{TensorOf(ElementType::kFloat32, {1, channels, 5}, Floats(channels * 5)),
                  TensorOf(ElementType::kInt64, {1, 5}, std::vector<std::int64_t>(5, 1))};
  };
  EXPECT_NO_THROW(RunTogether(*session, {request(2), request(2)}));
  EXPECT_THROW(RunTogether(*session, {request(2), request(3)}), NotTogether);
}

TEST_F(SessionTest, TakesBytesOtherThanZeroAndOneForTrue) {
  const auto session = Load(test::Echo(dir_.File("m.onnx"), test::kBool));
  const Inputs request{TensorOf<std::uint8_t>(ElementType::kBool, {1, 3}, {0, 1, 200}),
                       TensorOf<std::int64_t>(ElementType::kInt64, {1, 3}, {1, 1, 1})};
  const auto answers = RunTogether(*session, {request});
  EXPECT_EQ(answers[0].outputs.at(0).As<std::uint8_t>(), (std::vector<std::uint8_t>{0, 1, 1}));
}

TEST_F(SessionTest, RunsEmptySequences) {
  const auto session = Load(test::Echo(dir_.File("m.onnx"), test::kFloat));
  const Inputs request{TensorOf<float>(ElementType::kFloat32, {2, 0}, {}),
                       TensorOf<std::int64_t>(ElementType::kInt64, {2, 0}, {})};
  EXPECT_EQ(ShapeText(RunTogether(*session, {request})[0].outputs.at(0).shape), "[2,0]");
}

Tensor Strings(const std::vector<std::int64_t>& dims, const std::vector<std::string>& values) {
  Tensor tensor{.type = ElementType::kString, .shape = test::ShapeOf(dims), .bytes = {}};
  for (const std::string& value : values) {
    const std::size_t at = tensor.bytes.size();
    tensor.bytes.resize(at + EncodedBytes(value));
    EncodeString(tensor.bytes.data() + at, value);
  }
  return tensor;
}

TEST_F(SessionTest, CarriesStringsWithAnyBytes) {
  const auto session = Load(test::Echo(dir_.File("m.onnx"), 8));
  using namespace std::string_literals;
  const Tensor shortMask = TensorOf<std::int64_t>(ElementType::kInt64, {1, 2}, {1, 1});
  const Tensor longMask = TensorOf<std::int64_t>(ElementType::kInt64, {2, 3}, std::vector<std::int64_t>(6, 1));
  const std::vector<Inputs> requests{
      {Strings({1, 2}, {"a\0b"s, ""}), shortMask},
      {Strings({2, 3}, {"grün", "x", "long enough not to be stored in place, really", "\xff", "", "z"}), longMask}};
  const auto together = RunTogether(*session, requests);
  EXPECT_EQ(together[0].outputs.at(0).bytes, requests[0][0].bytes);
  EXPECT_EQ(together[1].outputs.at(0).bytes, requests[1][0].bytes);
}

class SessionProperty : public SessionTest, public testing::WithParamInterface<unsigned> {
 protected:
  void SetUp() override { random_.seed(GetParam()); }

  std::vector<Inputs> Requests(const std::function<Inputs()>& make) {
    std::vector<Inputs> requests;
    for (std::int64_t i = Pick(2, 9); i > 0; --i) requests.push_back(make());
    return requests;
  }
  void ExpectSameTogether(Session& session, const std::function<Inputs()>& make) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()));
    const auto requests = Requests(make);
    ExpectSame(RunTogether(session, requests), RunAlone(session, requests));
  }
};

TEST_P(SessionProperty, TextsTogetherGiveWhatEachGivesAlone) {
  const auto session = Load(test::MaskedEncoder(dir_.File("m.onnx")));
  ExpectSameTogether(*session, [this] { return Text(Pick(1, 3), Pick(1, 40)); });
}

TEST_P(SessionProperty, PairsWithTwoLengthsTogetherGiveWhatEachGivesAlone) {
  const auto session = Load(test::TwoAxes(dir_.File("m.onnx")));
  ASSERT_EQ(session->signature().sequenceAxes, 2);
  ExpectSameTogether(*session, [this] { return Pair(Pick(1, 2), Pick(1, 20), Pick(1, 20)); });
}

TEST_P(SessionProperty, RowsWithoutSequenceAxisTogetherGiveWhatEachGivesAlone) {
  const auto session = Load(test::Dense(dir_.File("m.onnx")));
  ExpectSameTogether(*session, [this] {
    const std::int64_t rows = Pick(1, 4);
    return Inputs{TensorOf(ElementType::kFloat32, {rows, 4}, Floats(rows * 4))};
  });
}

TEST_P(SessionProperty, RowsOfEqualLengthWithoutMaskTogetherGiveWhatEachGivesAlone) {
  const auto session = Load(test::NoMask(dir_.File("m.onnx")));
  ASSERT_EQ(session->signature().coalesce, CoalesceMode::kEqualLength);
  const std::int64_t length = Pick(1, 30);
  ExpectSameTogether(*session, [this, length] {
    return Inputs{TensorOf(ElementType::kFloat32, {1, length}, Floats(length))};
  });
}

TEST_P(SessionProperty, EveryElementTypeTogetherGivesWhatEachGivesAlone) {
  for (const int type : {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16}) {
    SCOPED_TRACE("element type " + std::to_string(type));
    const auto session = Load(test::Echo(dir_.File("m" + std::to_string(type)), type));
    const auto elementType = static_cast<ElementType>(type);
    ExpectSameTogether(*session, [&] {
      const std::int64_t rows = Pick(1, 3);
      const std::int64_t length = Pick(1, 20);
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(rows * length) * ElementBytes(elementType));
      // Small exponents, so that no float is a NaN; bytes 0 and 1 for bool.
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(Pick(0, type == 9 ? 1 : 0x3f));
      return Inputs{TensorOf(elementType, {rows, length}, bytes),
                    TensorOf(ElementType::kInt64, {rows, length}, std::vector<std::int64_t>(rows * length, 1))};
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SessionProperty, testing::Range(0U, 24U));

}  // namespace
}  // namespace interleave
