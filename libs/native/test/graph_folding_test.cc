// What the proof takes for known before a run, and what the runtime makes of the same operators.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "graph_decisions.h"

namespace interleave {
namespace {

using graph::RowVerdict;
using test::Build;
using test::Graph;
using test::kBool;
using test::kFloat;
using test::kInt64;
using test::VerdictOf;

constexpr int kUint8 = 2, kInt32 = 6, kHalf = 10, kDouble = 11, kUint32 = 12;

struct Row {
  const char* name;
  Build build;
};

template <class T>
Graph& Constant(Graph& g, const std::string& name, int type, T value) {
  return g.Initializer<T>(name, type, {}, {value});
}
Graph& Float(Graph& g, const std::string& name, float value) { return Constant(g, name, kFloat, value); }

// condition = op(a, b)
template <class T>
Build Compared(const std::string& op, int type, T a, T b) {
  return [=](Graph& g) { Constant(Constant(g, "a", type, a), "b", type, b).Node(op, {"a", "b"}, {"condition"}); };
}
// condition = (op(a, b) is c)
template <class T>
Build Folded(const std::string& op, int type, T a, T b, T c, const std::vector<test::Attribute>& attributes = {}) {
  return [=](Graph& g) {
    Constant(Constant(Constant(g, "a", type, a), "b", type, b), "c", type, c);
    g.Node(op, {"a", "b"}, {"r"}, attributes).Node("Equal", {"r", "c"}, {"condition"});
  };
}
// condition = (a, cast from one type to another and back, is a)
template <class T>
Build CastThere(int type, int other, T a) {
  return [=](Graph& g) {
    Constant(g, "a", type, a)
        .Node("Cast", {"a"}, {"there"}, {{"to", other}})
        .Node("Cast", {"there"}, {"back"}, {{"to", type}});
    g.Node("Equal", {"back", "a"}, {"condition"});
  };
}

void ExpectBothAreRead(const std::vector<Row>& rows) {
  for (const auto& [name, build] : rows) {
    EXPECT_EQ(VerdictOf(build, true), RowVerdict::kMixed) << name;
    EXPECT_EQ(VerdictOf(build, false), RowVerdict::kMixed) << name;
  }
}

// The runtime rounds and wraps around in the tensor's type, so it may decide otherwise than the exact numbers would.
TEST(FoldedNumbers, AreNotKnownWhereTheTypeMayNotHoldThem) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  constexpr std::int32_t kLowest = std::numeric_limits<std::int32_t>::min();
  ExpectBothAreRead({
      {"0.1 + 0.2", Folded<float>("Add", kFloat, .1F, .2F, .3F)},
      {"2^24 + 1", Folded<float>("Add", kFloat, 16777216, 1, 16777216)},
      {"1 / 3 of 3",
       [](Graph& g) {
         Float(Float(g, "a", 1), "b", 3)
             .Node("Div", {"a", "b"}, {"q"})
             .Node("Mul", {"q", "b"}, {"r"})
             .Node("Equal", {"r", "a"}, {"condition"});
       }},
      {"a double", Folded<double>("Add", kDouble, .1, .2, .3)},
      {"a double too large", Folded<double>("Add", kDouble, 9007199254740992., 1., 9007199254740992.)},
      {"2^53 + 1", Folded<std::int64_t>("Add", kInt64, 1LL << 53, 1, 1LL << 53)},
      {"2^62 + 2^62", Folded<std::int64_t>("Add", kInt64, 1LL << 62, 1LL << 62, 0)},
      {"equal up to the last digit", Compared<std::int64_t>("Equal", kInt64, (1LL << 60) + 1, 1LL << 60)},
      {"2^16 * 2^16 in 32 bits", Folded<std::int32_t>("Mul", kInt32, 65536, 65536, 0)},
      {"lowest - 1", Folded<std::int32_t>("Sub", kInt32, kLowest, 1, std::numeric_limits<std::int32_t>::max())},
      {"the lowest, negated",
       [](Graph& g) {
         Constant(g, "a", kInt32, kLowest).Node("Neg", {"a"}, {"r"}).Node("Equal", {"r", "a"}, {"condition"});
       }},
      {"1 - 2 without a sign", Folded<std::uint32_t>("Sub", kUint32, 1, 2, 4294967295U)},
      {"200 + 100 in 8 bits", Folded<std::uint8_t>("Add", kUint8, 200, 100, 44)},
      {"NaN is not less",
       [](Graph& g) {
         Float(Float(g, "a", kNan), "b", 0).Node("Less", {"a", "b"}, {"l"}).Node("Not", {"l"}, {"condition"});
       }},
      {"NaN at least 0", Compared<float>("GreaterOrEqual", kFloat, kNan, 0)},
      {"NaN is itself", Compared<float>("Equal", kFloat, kNan, kNan)},
      {"the larger of NaN and 1", Folded<float>("Max", kFloat, kNan, 1, 1)},
      {"infinity - infinity", Folded<float>("Sub", kFloat, kInf, kInf, 0)},
      {"infinity * 0", Folded<float>("Mul", kFloat, 0, kInf, 0)},
      {"the root of -4",
       [](Graph& g) {
         Float(Float(g, "a", -4), "b", 0).Node("Sqrt", {"a"}, {"r"}).Node("GreaterOrEqual", {"r", "b"}, {"condition"});
       }},
      {"the root of 2",
       [](Graph& g) {
         Float(g, "a", 2)
             .Node("Sqrt", {"a"}, {"r"})
             .Node("Mul", {"r", "r"}, {"q"})
             .Node("Equal", {"q", "a"}, {"condition"});
       }},
      {"1e10 in 32 bits", CastThere<std::int64_t>(kInt64, kInt32, 10'000'000'000)},
      {"-1 without a sign", CastThere<std::int64_t>(kInt64, kUint32, -1)},
      {"0.1 in half", CastThere<double>(kDouble, kHalf, .1)},
      {"2^24 + 1 as a float", CastThere<std::int32_t>(kInt32, kFloat, 16777217)},
      {"a sum of tenths",
       [](Graph& g) {
         Float(g.Initializer("a", kFloat, {3}, std::vector<float>{.1F, .1F, .1F}), "b", .3F);
         g.Node("ReduceSum", {"a"}, {"r"}, {{"keepdims", 0}}).Node("Equal", {"r", "b"}, {"condition"});
       }},
      {"a product that wraps around",
       [](Graph& g) {
         Constant(g.Initializer("a", kInt32, {2}, std::vector<std::int32_t>{65536, 65536}), "b", kInt32, 0);
         g.Node("ReduceProd", {"a"}, {"r"}, {{"keepdims", 0}}).Node("Equal", {"r", "b"}, {"condition"});
       }},
      {"NaN as a truth",
       [](Graph& g) {
         Float(g, "a", kNan).Node("Cast", {"a"}, {"condition"}, {{"to", kBool}});
       }},
  });
}

TEST(FoldedNumbers, AreKnownWhereTheyAreExact) {
  const std::vector<Row> rows{
      {"integers", Folded<std::int64_t>("Add", kInt64, 7, -3, 4)},
      {"halves", Folded<float>("Add", kFloat, .5F, .25F, .75F)},
      {"the rest of a negative number", Folded<std::int64_t>("Mod", kInt64, -7, 3, 2)},
      {"the rest by a negative number", Folded<std::int32_t>("Mod", kInt32, 7, -3, -2)},
      {"the rest with the sign of the number", Folded<float>("Mod", kFloat, -7, 3, -1, {{"fmod", 1}})},
      {"32 bits without a sign", Folded<std::uint32_t>("Sub", kUint32, 7, 2, 5)},
      {"a root",
       [](Graph& g) {
         Float(Float(g, "a", 64), "b", 8).Node("Sqrt", {"a"}, {"r"}).Node("Equal", {"r", "b"}, {"condition"});
       }},
      {"a sum",
       [](Graph& g) {
         g.Initializer<std::int64_t>("a", kInt64, {3}, {1, 2, 2})
             .Node("ReduceSum", {"a"}, {"r"}, {{"keepdims", 0}})
             .Node("Equal", {"r", "5"}, {"condition"});
       }},
      {"there are rows",
       [](Graph& g) {
         g.Node("Greater", {"n", "0"}, {"condition"});
       }},
      {"rows have tokens",
       [](Graph& g) {
         g.Node("Greater", {"length", "0"}, {"condition"});
       }},
      {"a size is not negative",
       [](Graph& g) {
         g.Initializer<std::int64_t>("-1", kInt64, {}, {-1})
             .Node("Equal", {"length", "-1"}, {"is"})
             .Node("Not", {"is"}, {"condition"});
       }},
  };
  for (const auto& [name, build] : rows) {
    EXPECT_EQ(VerdictOf(build, true), RowVerdict::kMixed) << name;
    EXPECT_EQ(VerdictOf(build, false), RowVerdict::kIndependent) << name;
  }
}

// n times a number and back is not n for every number of rows.
TEST(FoldedNumbers, OfTheRowsKeepTheirMark) {
  const auto thereAndBack = [](int type, auto factor) {
    return [=](Graph& g) {
      Constant(g, "k", type, factor)
          .Node("Cast", {"n"}, {"c"}, {{"to", type}})
          .Node("Mul", {"c", "k"}, {"p"})
          .Node("Div", {"p", "k"}, {"q"});
      g.Node("Equal", {"q", "c"}, {"condition"});
    };
  };
  ExpectBothAreRead({
      {"2^62", thereAndBack(kInt64, std::int64_t{1} << 62)},
      {"2^30 in 32 bits", thereAndBack(kInt32, std::int32_t{1 << 30})},
      {"40000 in 32 bits", thereAndBack(kInt32, std::int32_t{40000})},
      {"0.1", thereAndBack(kFloat, .1F)},
      {"2^61 in float", thereAndBack(kFloat, std::ldexp(1.F, 61))},
      {"3 in half", thereAndBack(kHalf, std::uint16_t{0x4200})},
      {"thirds",
       [](Graph& g) {
         Float(g, "k", 3)
             .Node("Cast", {"n"}, {"c"}, {{"to", kFloat}})
             .Node("Div", {"c", "k"}, {"q"})
             .Node("Mul", {"q", "k"}, {"r"});
         g.Node("Equal", {"r", "c"}, {"condition"});
       }},
      {"2^31 - n without a sign",
       [](Graph& g) {
         Constant(Constant(g, "k", kUint32, 1U), "z", kUint32, 0U)
             .Node("Cast", {"n"}, {"c"}, {{"to", kUint32}})
             .Node("Sub", {"k", "c"}, {"d"});
         g.Node("Greater", {"d", "z"}, {"condition"});
       }},
  });
}

// As many numbers as a row has tokens: what comes of all of them is not known before the run.
TEST(FoldedNumbers, OverAnAxisThatVariesAreNotCounted) {
  const auto counted = [](const Build& ones, const std::string& op = "ReduceSum") {
    return [=](Graph& g) {
      g.Initializer<std::int64_t>("one", kInt64, {1}, {1}).Initializer<std::int64_t>("tokensAt", kInt64, {1}, {1});
      g.Initializer<std::int64_t>("30", kInt64, {}, {30}).Node("Gather", {"s", "tokensAt"}, {"L"});
      ones(g);
      g.Node(op, {"ones"}, {"count"}, {{"keepdims", 0}}).Node("Equal", {"count", "30"}, {"condition"});
    };
  };
  const Build filled = [](Graph& g) { g.Node("Expand", {"one", "L"}, {"filled"}); };
  ExpectBothAreRead({
      {"a number, repeated", counted([](Graph& g) {
         g.Node("Expand", {"1", "L"}, {"ones"});
       })},
      {"twos, multiplied", counted(
                               [](Graph& g) {
                                 g.Node("Expand", {"2", "L"}, {"ones"});
                               },
                               "ReduceProd")},
      {"of a shape", counted([](Graph& g) {
         g.Node("ConstantOfShape", {"L"}, {"z"})
             .Node("Cast", {"z"}, {"i"}, {{"to", kInt64}})
             .Node("Add", {"i", "1"}, {"ones"});
       })},
      {"places that are themselves", counted([](Graph& g) {
         g.Node("Range", {"0", "length", "1"}, {"p"}).Node("Mul", {"p", "0"}, {"z"}).Node("Equal", {"z", "0"}, {"e"});
         g.Node("Cast", {"e"}, {"ones"}, {{"to", kInt64}});
       })},
      {"with one more", counted([&](Graph& g) {
         filled(g);
         g.Node("Concat", {"filled", "one"}, {"ones"}, {{"axis", 0}});
       })},
      {"as a column", counted([&](Graph& g) {
         filled(g);
         g.Node("Unsqueeze", {"filled", "one"}, {"ones"});
       })},
      {"chosen", counted([&](Graph& g) {
         filled(g);
         g.Node("Equal", {"filled", "1"}, {"e"}).Node("Where", {"e", "filled", "0"}, {"ones"});
       })},
  });
}

}  // namespace
}  // namespace interleave
