// Models whose rows change each other, in every way we know of, are found before they are ready; their independent
// twins go on sharing runs.
#include <gtest/gtest.h>

#include "engine_fixture.h"
#include "session/merge_probe.h"

namespace interleave {
namespace {

using test::Dims;
using test::Graph;
using test::kBool;
using test::kFloat;
using test::kInt64;

constexpr int kHalf = 10;
constexpr int kInt32 = 6;
constexpr int kUint8 = 2;

// x [batch, 4] -> y through `nodes`, which read "x" and write "y".
Graph Rows(int type = kFloat, const Dims& dims = {"batch", 4}, const Dims& outputDims = {"batch", 4}) {
  Graph graph;
  graph.Input("x", type, dims).Output("y", type, outputDims);
  return graph;
}

Graph& WithAxes(Graph& graph) {
  return graph.Initializer<std::int64_t>("axis0", kInt64, {1}, {0})
      .Initializer<std::int64_t>("axis1", kInt64, {1}, {1})
      .Initializer<std::int64_t>("zero", kInt64, {1}, {0})
      .Initializer<std::int64_t>("one", kInt64, {1}, {1})
      .Initializer<std::int64_t>("all", kInt64, {1}, {-1});
}

class MergeProbeTest : public testing::Test {
 protected:
  test::TempDir dir_;
  int models_ = 0;

  struct Outcome {
    CoalesceMode mode;
    std::string reason;
  };

  std::unique_ptr<Session> Load(const std::string& path, const SignatureOptions& axes = {}) {
    SignatureOptions unproven = axes;
    // What the proof would refuse before is left to the probe.
    unproven.mergeRows = MergeRows::kAlways;
    unproven.paddingIsSafe = axes.paddingIsSafe.value_or(true);
    return Session::Load(test::Library(), {.modelPath = path, .axes = unproven});
  }
  static MergeProbeOptions Options() {
    return {.watched = [](ort::RunOptions*, const std::function<void()>& run) { run(); },
            .rowsMax = 32,
            .thoroughNs = test::kSecondNs};
  }
  Outcome Probe(const Graph& graph, const SignatureOptions& axes = {}, std::int64_t thoroughNs = test::kSecondNs) {
    return ProbeFile(graph.Save(dir_.File("m" + std::to_string(models_++) + ".onnx")), axes, thoroughNs);
  }
  Outcome ProbeFile(const std::string& path, const SignatureOptions& axes = {},
                    std::int64_t thoroughNs = test::kSecondNs) {
    const auto session = Load(path, axes);
    MergeProbeOptions options = Options();
    options.thoroughNs = thoroughNs;
    ProbeMerging(*session, options);
    return {session->signature().coalesce, session->signature().coalesceReason};
  }
  // Found by the few runs that are made always, and by all of them.
  void ExpectAlone(const Graph& graph, const std::string& reason) {
    for (const std::int64_t thoroughNs : {std::int64_t{0}, test::kSecondNs}) {
      const Outcome outcome = Probe(graph, {}, thoroughNs);
      EXPECT_EQ(outcome.mode, CoalesceMode::kAlone);
      EXPECT_NE(outcome.reason.find(reason), std::string::npos) << outcome.reason;
    }
  }
  void ExpectMerged(const Graph& graph, CoalesceMode mode = CoalesceMode::kPadded) {
    for (const std::int64_t thoroughNs : {std::int64_t{0}, test::kSecondNs}) {
      const Outcome outcome = Probe(graph, {.paddingIsSafe = mode == CoalesceMode::kPadded}, thoroughNs);
      EXPECT_EQ(outcome.mode, mode) << outcome.reason;
    }
  }
};

const char* const kBeside = "answers change beside other rows: output \"y\" differs by ";

struct Mixing {
  const char* name;
  // Along which axis it works: 0 mixes rows, 1 does not.
  std::function<void(Graph&, int axis)> add;
};

void Reduce(Graph& graph, const char* op, int axis) {
  graph.Node(op, {"x"}, {"m"}, {{"axes", std::vector<int>{axis}}, {"keepdims", 1}}).Node("Sub", {"x", "m"}, {"y"});
}

const std::vector<Mixing>& Mixings() {
  static const std::vector<Mixing> mixings{
      {"mean", [](Graph& graph, int axis) { Reduce(graph, "ReduceMean", axis); }},
      {"max", [](Graph& graph, int axis) { Reduce(graph, "ReduceMax", axis); }},
      {"min", [](Graph& graph, int axis) { Reduce(graph, "ReduceMin", axis); }},
      {"l2", [](Graph& graph, int axis) { Reduce(graph, "ReduceL2", axis); }},
      {"softmax",
       [](Graph& graph, int axis) {
         graph.Node("Softmax", {"x"}, {"y"}, {{"axis", axis}});
       }},
      {"cumsum",
       [](Graph& graph, int axis) {
         graph.Node("CumSum", {"x", axis == 0 ? "axis0" : "axis1"}, {"y"});
       }},
      {"sort",
       [](Graph& graph, int axis) {
         graph.Node("Shape", {"x"}, {"shape"})
             .Node("Gather", {"shape", axis == 0 ? "axis0" : "axis1"}, {"count"})
             .Node("TopK", {"x", "count"}, {"y", "places"}, {{"axis", axis}});
       }},
      {"attention",
       [](Graph& graph, int axis) {
         graph.Node("Transpose", {"x"}, {"xt"}, {{"perm", std::vector<int>{1, 0}}});
         if (axis == 0) {
           graph.Node("MatMul", {"x", "xt"}, {"scores"}).Node("Softmax", {"scores"}, {"weights"}, {{"axis", 1}});
           graph.Node("MatMul", {"weights", "x"}, {"y"});
         } else {
           graph.Node("Transpose", {"xt"}, {"y"}, {{"perm", std::vector<int>{1, 0}}});
         }
       }},
      // Less than rounding would hide it, but for large neighbours.
      {"a little of the mean",
       [](Graph& graph, int axis) {
         graph.Initializer("little", kFloat, {}, std::vector<float>{1e-4F})
             .Node("ReduceMean", {"x"}, {"m"}, {{"axes", std::vector<int>{axis}}, {"keepdims", 1}})
             .Node("Mul", {"m", "little"}, {"part"})
             .Node("Sub", {"x", "part"}, {"y"});
       }},
      {"the mean in one column, beside large ones",
       [](Graph& graph, int axis) {
         graph.Initializer("factors", kFloat, {1, 4}, std::vector<float>{0, 1e6F, 1e6F, 1e6F})
             .Initializer("column", kFloat, {1, 4}, std::vector<float>{1, 0, 0, 0})
             .Node("ReduceMean", {"x"}, {"m"}, {{"axes", std::vector<int>{axis}}, {"keepdims", 1}})
             .Node("Mul", {"m", "column"}, {"mean"})
             .Node("Mul", {"x", "factors"}, {"large"})
             .Node("Add", {"large", "mean"}, {"y"});
       }},
  };
  return mixings;
}

TEST_F(MergeProbeTest, FindsWhatMixesRowsAndNotItsTwin) {
  for (const Mixing& mixing : Mixings()) {
    SCOPED_TRACE(mixing.name);
    for (const int axis : {0, 1}) {
      Graph graph = Rows();
      mixing.add(WithAxes(graph), axis);
      if (axis == 0) {
        ExpectAlone(graph, kBeside);
      } else {
        ExpectMerged(graph);
      }
    }
  }
}

TEST_F(MergeProbeTest, FindsFactorsOfTheNumberOfRows) {
  Graph graph = Rows();
  WithAxes(graph).Node("Shape", {"x"}, {"shape"}).Node("Gather", {"shape", "zero"}, {"count"});
  graph.Node("Cast", {"count"}, {"factor"}, {{"to", kFloat}}).Node("Div", {"x", "factor"}, {"y"});
  ExpectAlone(graph, kBeside);
}

TEST_F(MergeProbeTest, FindsRowsPastTheFirstThatAreIgnored) {
  Graph graph = Rows();
  WithAxes(graph)
      .Node("Slice", {"x", "zero", "one", "axis0"}, {"first"})
      .Node("Shape", {"x"}, {"shape"})
      .Node("Expand", {"first", "shape"}, {"y"});
  ExpectAlone(graph, kBeside);
}

TEST_F(MergeProbeTest, FindsQuantisationOfTheWholeTensor) {
  Graph graph = Rows();
  graph.Node("DynamicQuantizeLinear", {"x"}, {"q", "scale", "point"})
      .Node("DequantizeLinear", {"q", "scale", "point"}, {"y"});
  ExpectAlone(graph, kBeside);
}

TEST_F(MergeProbeTest, FindsIntegersStringsAndHalvesThatChange) {
  for (const int type : {kInt32, kInt64}) {
    Graph graph = Rows(type);
    Reduce(graph, "ReduceMax", 0);
    ExpectAlone(graph, kBeside);
  }
  Graph half = Rows(kHalf);
  Reduce(half, "ReduceMean", 0);
  ExpectAlone(half, kBeside);
  Graph twin = Rows(kHalf);
  Reduce(twin, "ReduceMean", 1);
  ExpectMerged(twin);
  Graph strings;
  strings.Input("x", 8, {"batch", 2}).Output("y", 8, {"batch", 2});
  WithAxes(strings)
      .Initializer<std::int64_t>("back", kInt64, {1}, {-1})
      .Initializer<std::int64_t>("least", kInt64, {1}, {INT64_MIN});
  ExpectMerged(Graph(strings).Node("Identity", {"x"}, {"y"}));
  ExpectAlone(strings.Node("Slice", {"x", "back", "least", "axis0", "back"}, {"y"}), "holds other strings");
}

TEST_F(MergeProbeTest, FindsImagesOfBytes) {
  Graph graph;
  graph.Input("x", kUint8, {"batch", 3, 8, 8}).Output("y", kFloat, {"batch", 3, 8, 8});
  graph.Node("Cast", {"x"}, {"f"}, {{"to", kFloat}});
  ExpectMerged(Graph(graph).Node("Sigmoid", {"f"}, {"y"}));
  ExpectAlone(graph.Node("Softmax", {"f"}, {"y"}, {{"axis", 0}}), kBeside);
}

// The recurrent layer goes over axis 0 with rows as time, or over axis 1.
TEST_F(MergeProbeTest, FindsRecurrenceOverRows) {
  for (const bool isOverRows : {true, false}) {
    Graph graph;
    graph.Input("x", kFloat, {"batch", 3, 4})
        .Output("y", kFloat, {"batch", isOverRows ? 1 : 3, isOverRows ? 3 : 1, 2})
        .Initializer("w", kFloat, {1, 8, 4}, test::Weights(32))
        .Initializer("r", kFloat, {1, 8, 2}, test::Weights(16));
    if (isOverRows) {
      graph.Node("LSTM", {"x", "w", "r"}, {"y"}, {{"hidden_size", 2}});
      ExpectAlone(graph, kBeside);
    } else {
      graph.Node("Transpose", {"x"}, {"xt"}, {{"perm", std::vector<int>{1, 0, 2}}})
          .Node("LSTM", {"xt", "w", "r"}, {"yt"}, {{"hidden_size", 2}})
          .Node("Transpose", {"yt"}, {"y"}, {{"perm", std::vector<int>{2, 0, 1, 3}}});
      ExpectMerged(graph);
    }
  }
}

TEST_F(MergeProbeTest, FindsOutputsThatAreNotByRow) {
  Graph graph = Rows(kFloat, {"batch", 3}, {"batch"});
  graph.Initializer("half", kFloat, {}, std::vector<float>{0.5F})
      .Initializer<std::int64_t>("flat", kInt64, {1}, {-1})
      .Node("Greater", {"x", "half"}, {"isLarge"})
      .Node("Reshape", {"x", "flat"}, {"values"})
      .Node("Reshape", {"isLarge", "flat"}, {"chosen"})
      .Node("Compress", {"values", "chosen"}, {"y"}, {{"axis", 0}});
  ExpectAlone(graph, "outputs cannot be told apart by row: output \"y\" came with shape [");
}

TEST_F(MergeProbeTest, FindsRowsThatTheGraphRefusesTogether) {
  Graph graph = Rows();
  graph.Initializer<std::int64_t>("oneRow", kInt64, {2}, {1, 4}).Node("Reshape", {"x", "oneRow"}, {"y"});
  ExpectAlone(graph, "");
}

TEST_F(MergeProbeTest, FindsRandomAnswers) {
  Graph graph = Rows();
  graph.Node("RandomNormalLike", {"x"}, {"noise"}).Node("Add", {"x", "noise"}, {"y"});
  ExpectAlone(graph, "answers change from run to run: output \"y\" differs by ");
}

// x, mask [batch, length] -> y [batch, 1], a reduction over the length that heeds the mask or not.
Graph OverLength(const char* op, bool heedsMask) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "length"})
      .Input("mask", kFloat, {"batch", "length"})
      .Output("y", kFloat, {"batch", 1});
  graph.Initializer("big", kFloat, {}, std::vector<float>{1e30F})
      .Initializer("unit", kFloat, {}, std::vector<float>{1})
      .Node("Sub", {"unit", "mask"}, {"free"})
      .Node("Mul", {"free", "big"}, {"far"});
  if (std::string(op) == "ReduceMin") graph.Node("Add", {"x", "far"}, {"masked"});
  if (std::string(op) == "ReduceMax") graph.Node("Sub", {"x", "far"}, {"masked"});
  if (std::string(op) == "ReduceMean") {
    if (heedsMask) {
      const std::vector<test::Attribute> over{{"axes", std::vector<int>{1}}, {"keepdims", 1}};
      return graph.Node("Mul", {"x", "mask"}, {"masked"})
          .Node("ReduceMean", {"masked"}, {"mean"}, over)
          .Node("ReduceMean", {"mask"}, {"share"}, over)
          .Node("Div", {"mean", "share"}, {"y"});
    }
  }
  return graph.Node(op, {heedsMask ? "masked" : "x"}, {"y"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}});
}

TEST_F(MergeProbeTest, FallsBackToEqualLengthsWherePaddingChangesAnswers) {
  for (const char* op : {"ReduceMean", "ReduceMax", "ReduceMin"}) {
    SCOPED_TRACE(op);
    for (const std::int64_t thoroughNs : {std::int64_t{0}, test::kSecondNs}) {
      EXPECT_EQ(Probe(OverLength(op, true), {}, thoroughNs).mode, CoalesceMode::kPadded);
      const Outcome outcome = Probe(OverLength(op, false), {}, thoroughNs);
      EXPECT_EQ(outcome.mode, CoalesceMode::kEqualLength);
      EXPECT_NE(outcome.reason.find("padding changes answers: output \"y\" differs by "), std::string::npos)
          << outcome.reason;
    }
  }
}

// x, mask [batch, length] -> y [batch, 2]: the sum of real places, of millions, beside the mean of all of them.
TEST_F(MergeProbeTest, MeasuresAColumnByItself) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "length"})
      .Input("mask", kFloat, {"batch", "length"})
      .Output("y", kFloat, {"batch", 2});
  const std::vector<test::Attribute> over{{"axes", std::vector<int>{1}}, {"keepdims", 1}};
  graph.Initializer("million", kFloat, {}, std::vector<float>{1e6F})
      .Node("Mul", {"x", "mask"}, {"masked"})
      .Node("Mul", {"masked", "million"}, {"large"})
      .Initializer<std::int64_t>("axis1", kInt64, {1}, {1})
      .Node("ReduceSum", {"large", "axis1"}, {"first"}, {{"keepdims", 1}})
      .Node("ReduceMean", {"masked"}, {"second"}, over)
      .Node("Concat", {"first", "second"}, {"y"}, {{"axis", 1}});
  EXPECT_EQ(Probe(graph).mode, CoalesceMode::kEqualLength);
}

// The same in half precision, with a fifth of the mean beside the first place.
TEST_F(MergeProbeTest, MeasuresAColumnOfHalvesByItself) {
  constexpr int kHalf = 10;
  Graph graph;
  graph.Input("x", kFloat, {"batch", "length"})
      .Input("mask", kFloat, {"batch", "length"})
      .Output("y", kHalf, {"batch", 2});
  graph.Initializer("thousands", kFloat, {}, std::vector<float>{4000})
      .Initializer<std::int64_t>("axis1", kInt64, {1}, {1})
      .Node("Mul", {"x", "mask"}, {"masked"})
      .Node("Mul", {"masked", "thousands"}, {"large"})
      .Node("ReduceSum", {"large", "axis1"}, {"first"}, {{"keepdims", 1}})
      .Initializer("fifth", kFloat, {}, std::vector<float>{0.2F})
      .Initializer<std::int64_t>("place", kInt64, {1}, {0})
      .Node("ReduceMean", {"masked"}, {"mean"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}})
      .Node("Mul", {"mean", "fifth"}, {"little"})
      .Node("Gather", {"x", "place"}, {"own"}, {{"axis", 1}})
      .Node("Add", {"own", "little"}, {"second"})
      .Node("Concat", {"first", "second"}, {"both"}, {{"axis", 1}})
      .Node("Cast", {"both"}, {"y"}, {{"to", kHalf}});
  EXPECT_EQ(Probe(graph).mode, CoalesceMode::kEqualLength);
}

// x, mask [batch, length] -> y [batch, length]: hidden places get -1e9, and that of the mean of all places is no less.
TEST_F(MergeProbeTest, MeasuresNothingByFills) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "length"})
      .Input("mask", kBool, {"batch", "length"})
      .Output("y", kFloat, {"batch", "length"});
  graph.Initializer("fill", kFloat, {}, std::vector<float>{-1e9F})
      .Node("ReduceMean", {"x"}, {"mean"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}})
      .Node("Add", {"x", "mean"}, {"z"})
      .Node("Where", {"mask", "z", "fill"}, {"y"});
  EXPECT_EQ(Probe(graph).mode, CoalesceMode::kEqualLength);
}

TEST_F(MergeProbeTest, LearnsWhatUnnamedOutputDimensionsAre) {
  const auto session = Load(test::MaskedEncoder(dir_.File("m.onnx"), false));
  ProbeMerging(*session, Options());
  EXPECT_EQ(session->signature().coalesce, CoalesceMode::kPadded) << session->signature().coalesceReason;
  EXPECT_TRUE(session->outputAxes().IsSettled());
  EXPECT_TRUE(session->outputAxes().HasRows());
}

TEST_F(MergeProbeTest, KeepsTheModelsThatAreSafe) {
  EXPECT_EQ(ProbeFile(test::MaskedEncoder(dir_.File("1.onnx"))).mode, CoalesceMode::kPadded);
  EXPECT_EQ(ProbeFile(test::TwoAxes(dir_.File("2.onnx"))).mode, CoalesceMode::kPadded);
  EXPECT_EQ(ProbeFile(test::Dense(dir_.File("3.onnx"))).mode, CoalesceMode::kPadded);
  EXPECT_EQ(ProbeFile(test::FreeAxis(dir_.File("4.onnx"))).mode, CoalesceMode::kPadded);
  EXPECT_EQ(ProbeFile(test::Counting(dir_.File("5.onnx"))).mode, CoalesceMode::kPadded);
  for (const int type : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16}) {
    EXPECT_EQ(ProbeFile(test::Echo(dir_.File("e" + std::to_string(type)), type)).mode, CoalesceMode::kPadded) << type;
  }
  const auto noMask = Session::Load(test::Library(), {.modelPath = test::NoMask(dir_.File("6.onnx"))});
  EXPECT_EQ(noMask->signature().coalesce, CoalesceMode::kEqualLength);
  EXPECT_EQ(noMask->signature().coalesceReason,
            "the model has no mask input, so padding could change its answers; if padding leaves its answers alone, "
            "set paddingIsSafe: true in model.yaml");
}

// Sizes that the declaration leaves open: channels of 3 for a convolution, a vocabulary of 3 with segments of 2.
TEST_F(MergeProbeTest, FindsSizesAndValuesThatTheGraphAccepts) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ONNX Runtime takes so long to refuse an input under TSan that the search, which has a limit of "
                  "time, ends before";
#endif
  Graph images;
  images.Input("x", kFloat, {"batch", "c", "h", "w"})
      .Output("y", kFloat, {"batch", 2, "", ""})
      .Initializer("w", kFloat, {2, 3, 9, 9}, test::Weights(2 * 3 * 81))
      .Node("Conv", {"x", "w"}, {"y"});
  ExpectMerged(images, CoalesceMode::kEqualLength);
  Graph tokens;
  tokens.Input("ids", kInt64, {"batch", "length"})
      .Input("segments", kInt64, {"batch", "length"})
      .Output("y", kFloat, {"batch", "length", 4})
      .Initializer("words", kFloat, {3, 4}, test::Weights(12))
      .Initializer("kinds", kFloat, {2, 4}, test::Weights(8))
      .Node("Gather", {"words", "ids"}, {"word"})
      .Node("Gather", {"kinds", "segments"}, {"kind"})
      .Node("Add", {"word", "kind"}, {"y"});
  ExpectMerged(tokens, CoalesceMode::kEqualLength);
}

TEST_F(MergeProbeTest, SaysWhyNothingIsKnown) {
  Graph refusing = Rows();
  refusing.Initializer<std::int64_t>("shape", kInt64, {2}, {-1, 7}).Node("Reshape", {"x", "shape"}, {"r"});
  refusing.Initializer<std::int64_t>("back", kInt64, {2}, {-1, 4}).Node("Reshape", {"r", "back"}, {"y"});
  const Outcome outcome = Probe(refusing);
  EXPECT_EQ(outcome.mode, CoalesceMode::kAlone);
  EXPECT_NE(outcome.reason.find("no made-up input was accepted ("), std::string::npos) << outcome.reason;
  EXPECT_NE(outcome.reason.find("set mergeRows: always"), std::string::npos) << outcome.reason;
  Graph constant = Rows();
  constant.Initializer("none", kFloat, {}, std::vector<float>{0})
      .Node("Mul", {"x", "none"}, {"nothing"})
      .Node("Exp", {"nothing"}, {"y"});
  ExpectAlone(constant, "all made-up rows got the same answer");
}

class LoadedModelTest : public test::EngineTest {};

// The mean over what a row was padded with: the proof is about rows alone, so it passes this graph.
TEST_F(LoadedModelTest, ProbesBeforeItIsReady) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "length"})
      .Input("mask", kFloat, {"batch", "length"})
      .Output("y", kFloat, {"batch"})
      .Node("Add", {"x", "mask"}, {"sum"})
      .Node("ReduceMean", {"sum"}, {"y"}, {{"axes", std::vector<int>{1}}, {"keepdims", 0}});
  const std::string path = graph.Save(dir_.File("m.onnx"));
  for (const Lane lane : {Lane::kRealtime, Lane::kBatch}) {
    ModelPlan probed = test::PlanOf(path);
    probed.options.axes.paddingIsSafe = true;
    ModelPlan trusted = test::PlanOf(path);
    trusted.options.axes.mergeRows = MergeRows::kAlways;
    ModelPlan trustedWhole = trusted;
    trustedWhole.options.axes.paddingIsSafe = true;
    test::LoadedEngine engine(test::With({probed, trusted, trustedWhole}, lane));
    EXPECT_EQ(engine->models().All()[0]->session()->signature().coalesce, CoalesceMode::kEqualLength);
    EXPECT_EQ(engine->models().All()[1]->session()->signature().coalesce, CoalesceMode::kEqualLength);
    EXPECT_EQ(engine->models().All()[2]->session()->signature().coalesce, CoalesceMode::kPadded);
    EXPECT_NE(ReportsJson(engine->models()).find("\"coalesceReason\":\"padding changes answers: "), std::string::npos);
  }
}

TEST_F(LoadedModelTest, RunsAloneWhatTheGraphShowsToMix) {
  Graph graph = Rows();
  Reduce(graph, "ReduceMean", 0);
  test::LoadedEngine engine(test::With({test::PlanOf(graph.Save(dir_.File("m.onnx")))}));
  EXPECT_EQ(engine->models().All()[0]->session()->signature().coalesce, CoalesceMode::kAlone);
  EXPECT_EQ(engine->models().All()[0]->Limits(Lane::kRealtime).rowsMax, 0);
}

// A record of a process that died while it probed; one that does not die leaves none.
TEST_F(LoadedModelTest, StopsProbingAfterTwoDeaths) {
  const std::string path = test::Dense(dir_.File("m.onnx"));
  ModelPlan plan = test::PlanOf(path);
  plan.probeRecordPath = dir_.File("record");
  const auto modeAfter = [&](int deaths) {
    std::ofstream(plan.probeRecordPath) << deaths;
    test::LoadedEngine engine(test::With({plan}));
    return engine->models().All()[0]->session()->signature();
  };
  EXPECT_EQ(modeAfter(1).coalesce, CoalesceMode::kPadded);
  EXPECT_NE(access(plan.probeRecordPath.c_str(), F_OK), 0);
  const Signature given = modeAfter(2);
  EXPECT_EQ(given.coalesce, CoalesceMode::kAlone);
  EXPECT_NE(given.coalesceReason.find("the worker died 2 times while it probed"), std::string::npos)
      << given.coalesceReason;
}

// x [batch, 1] -> x after a loop without end: every probe is ended by the watchdog.
TEST_F(LoadedModelTest, EndsProbesThatHang) {
  const Graph body = Graph("body")
                         .Input("turn", kInt64, {})
                         .Input("go", test::kBool, {})
                         .Input("at", kFloat, {})
                         .Output("goOn", test::kBool, {})
                         .Output("next", kFloat, {})
                         .Initializer("step", kFloat, {}, std::vector<float>{1})
                         .Node("Identity", {"go"}, {"goOn"})
                         .Node("Add", {"at", "step"}, {"next"});
  Graph graph = Rows(kFloat, {"batch", 1}, {"batch", 1});
  graph.Initializer<std::int64_t>("turns", kInt64, {}, {test::kForever})
      .Initializer("start", kFloat, {}, std::vector<float>{0})
      .Node("Loop", {"turns", "", "start"}, {"end"}, {{"body", body.message()}})
      .Node("Add", {"x", "end"}, {"y"});
  test::LoadedEngine engine(test::With({test::PlanOf(graph.Save(dir_.File("m.onnx")), test::kSecondNs / 5)}));
  const Signature& signature = engine->models().All()[0]->session()->signature();
  EXPECT_EQ(signature.coalesce, CoalesceMode::kAlone);
  EXPECT_NE(signature.coalesceReason.find("a run took longer than 200 ms"), std::string::npos)
      << signature.coalesceReason;
}

}  // namespace
}  // namespace interleave
