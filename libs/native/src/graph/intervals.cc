#include "graph/intervals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "graph/call.h"

namespace interleave::graph {
namespace {

template <class Function>
Interval AtCorners(const Interval& a, const Interval& b, Function function) {
  const std::array<double, 4> corners{function(a.low, b.low), function(a.low, b.high), function(a.high, b.low),
                                      function(a.high, b.high)};
  if (std::any_of(corners.begin(), corners.end(), [](double corner) { return std::isnan(corner); })) return {};
  return {*std::min_element(corners.begin(), corners.end()), *std::max_element(corners.begin(), corners.end())};
}

Interval Truth(bool isTrue, bool isFalse) {
  return isTrue ? Interval{1, 1} : isFalse ? Interval{0, 0} : Interval{0, 1};
}
Interval IsLess(const Interval& a, const Interval& b) { return Truth(a.high < b.low, a.low >= b.high); }
Interval IsEqual(const Interval& a, const Interval& b) {
  return Truth(a.low == a.high && b.Is(a.low), a.high < b.low || b.high < a.low);
}

}  // namespace

Interval Hull(const Interval& a, const Interval& b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }
Interval Negated(const Interval& a) { return IsEqual(a, {0, 0}); }

const std::unordered_map<std::string_view, Combine>& Combinations() {
  static const std::unordered_map<std::string_view, Combine> combinations{
      {"Add",
       [](const Interval& a, const Interval& b) {
         return Interval{a.low + b.low, a.high + b.high};
       }},
      {"Sub",
       [](const Interval& a, const Interval& b) {
         return Interval{a.low - b.high, a.high - b.low};
       }},
      {"Mul",
       [](const Interval& a, const Interval& b) {
         if (a.Is(0) || b.Is(0)) return Interval{0, 0};
         return AtCorners(a, b, [](double x, double y) { return x == 0 || y == 0 ? 0 : x * y; });
       }},
      {"Div",
       [](const Interval& a, const Interval& b) {
         if (b.low <= 0 && b.high >= 0) return Interval{};
         return AtCorners(a, b, [](double x, double y) { return x / y; });
       }},
      {"Max",
       [](const Interval& a, const Interval& b) {
         return Interval{std::max(a.low, b.low), std::max(a.high, b.high)};
       }},
      {"Min",
       [](const Interval& a, const Interval& b) {
         return Interval{std::min(a.low, b.low), std::min(a.high, b.high)};
       }},
      {"And",
       [](const Interval& a, const Interval& b) {
         return Interval{a.low != 0 && b.low != 0 ? 1.0 : 0.0, a.Is(0) || b.Is(0) ? 0.0 : 1.0};
       }},
      {"Or",
       [](const Interval& a, const Interval& b) {
         return Interval{a.low > 0 || b.low > 0 ? 1.0 : 0.0, a.Is(0) && b.Is(0) ? 0.0 : 1.0};
       }},
      {"Equal", IsEqual},
      {"Less", IsLess},
      {"Greater", [](const Interval& a, const Interval& b) { return IsLess(b, a); }},
      {"GreaterOrEqual", [](const Interval& a, const Interval& b) { return Negated(IsLess(a, b)); }},
      {"LessOrEqual", [](const Interval& a, const Interval& b) { return Negated(IsLess(b, a)); }},
  };
  return combinations;
}

bool IsComparison(std::string_view op) {
  return op == "Equal" || op == "Less" || op == "Greater" || op == "GreaterOrEqual" || op == "LessOrEqual";
}

Interval RangeOfHalves(const Tensor& tensor) {
  constexpr int kFloat16 = 10;
  if (tensor.type != kFloat16 || tensor.raw.size() < 2 || tensor.raw.size() > kNumbersMax * 2) return {};
  Interval range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (std::size_t i = 0; i + 1 < tensor.raw.size(); i += 2) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, tensor.raw.data() + i, sizeof(bits));
    const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
    if (exponent == 31 && mantissa != 0) return {};  // not a number
    const double size = exponent == 31  ? std::numeric_limits<double>::infinity()
                        : exponent == 0 ? std::ldexp(mantissa, -24)
                                        : std::ldexp(1024 + mantissa, exponent - 25);
    const double value = (bits >> 15) != 0 ? -size : size;
    range = {std::min(range.low, value), std::max(range.high, value)};
  }
  return range;
}

}  // namespace interleave::graph
