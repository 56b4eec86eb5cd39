#include "graph/value.h"

#include <algorithm>
#include <cmath>

namespace interleave::graph {
namespace {

// Whole numbers up to here are exact.
constexpr double kExactMax = 9007199254740992.0;

Number Opaque(const Number& a, const Number& b) { return {.rows = a.rows || b.rows, .varies = a.varies || b.varies, .opaque = true}; }

Number Result(const Number& a, const Number& b, double value, bool rows) {
  if (a.opaque || b.opaque) return Opaque(a, b);
  return {.value = value, .rows = rows && value != 0, .varies = a.varies || b.varies, .small = a.small || b.small};
}

Number Small(Number number) {
  number.small = number.varies;
  return number;
}

// A comparison of sizes that vary may come out otherwise for other sizes.
Number Truth(const Number& a, const Number& b, bool value) {
  return a.IsFixed() && b.IsFixed() ? Number{.value = value ? 1.0 : 0.0} : Opaque(a, b);
}

bool IsNothing(const Number& a) { return a.IsFixed() && a.value == 0; }

struct Monomial {
  double factor = 0;
  std::array<std::uint32_t, 4> axes{};
};

Monomial MonomialOf(const Number& a) { return a.varies ? Monomial{a.factor, a.axes} : Monomial{a.value}; }

// The product of both, or the quotient where it leaves no rest for any size; else nothing is said.
Number WithAxes(Number result, const Number& a, const Number& b, bool divides) {
  const Monomial left = MonomialOf(a), right = MonomialOf(b);
  if (!result.varies || left.factor == 0 || right.factor == 0) return result;
  const double factor = divides ? left.factor / right.factor : left.factor * right.factor;
  std::vector<std::uint32_t> axes(left.axes.begin(), left.axes.end());
  for (const std::uint32_t axis : right.axes) {
    if (axis == 0) continue;
    if (!divides) {
      axes.push_back(axis);
      continue;
    }
    const auto found = std::find(axes.begin(), axes.end(), axis);
    if (found == axes.end()) return result;
    *found = 0;
  }
  std::sort(axes.begin(), axes.end());
  const std::size_t surplus = axes.size() - result.axes.size();
  const bool fits = std::all_of(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(surplus), [](auto axis) { return axis == 0; });
  if (!fits || factor != std::trunc(factor)) return result;
  result.factor = factor;
  std::copy(axes.begin() + static_cast<std::ptrdiff_t>(surplus), axes.end(), result.axes.begin());
  return result;
}

// A number of rows or of an axis is positive, so it is above every number that is not.
bool IsAboveFixed(const Number& a, const Number& b) {
  return (a.rows || a.varies) && !a.small && a.value > 0 && b.IsFixed() && b.value <= 0;
}

}  // namespace

bool Value::IsCounted() const {
  if (!numbers) return counted;
  return counted || std::any_of(numbers->begin(), numbers->end(), [](const Number& n) { return n.rows; });
}

// One number: the numbers of a range are places, which are the same for rows of every length.
bool Value::IsLengthy() const {
  if (!numbers || numbers->size() != 1) return lengthy;
  const Number& number = numbers->front();
  return lengthy || ((number.varies || number.opaque) && !number.rows && number.below == 0);
}

bool SameForAll(const Number& a, const Number& b) {
  const Monomial left = MonomialOf(a), right = MonomialOf(b);
  return !a.opaque && !b.opaque && left.factor == right.factor && left.axes == right.axes && (left.factor != 0 || !(a.varies || b.varies));
}

Number Add(const Number& a, const Number& b) {
  if (IsNothing(a)) return b;
  if (IsNothing(b)) return a;
  if (a.rows == b.rows) {
    const Number sum = Result(a, b, a.value + b.value, a.rows);
    return a.value < 0 || b.value < 0 ? Small(sum) : sum;
  }
  return Opaque(a, b);
}

Number Subtract(const Number& a, const Number& b) {
  Number negative = b;
  negative.value = -b.value;
  ForgetAxes(negative);
  return Add(a, negative);
}

Number Multiply(const Number& a, const Number& b) {
  if (IsNothing(a) || IsNothing(b)) return {};
  if ((a.rows && b.rows) || a.value == 0 || b.value == 0) return a.rows || b.rows ? Opaque(a, b) : Result(a, b, 0, false);
  return WithAxes(Result(a, b, a.value * b.value, a.rows || b.rows), a, b, false);
}

Number Divide(const Number& a, const Number& b, bool isInteger) {
  if (b.value == 0 || (b.rows && !a.rows)) return Opaque(a, b);
  const double quotient = a.value / b.value;
  const bool rows = a.rows && !b.rows;
  if (!isInteger) return WithAxes(Result(a, b, quotient, rows), a, b, true);
  if (rows && quotient != std::trunc(quotient)) return Opaque(a, b);
  return WithAxes(Small(Result(a, b, std::trunc(quotient), rows)), a, b, true);
}

Number Modulo(const Number& a, const Number& b) {
  if (b.rows || b.value == 0) return Opaque(a, b);
  const double rest = std::fmod(a.value, b.value);
  if (a.rows && rest != 0) return Opaque(a, b);
  return Small(Result(a, b, rest, false));
}

Number Equal(const Number& a, const Number& b) {
  if (!a.opaque && !b.opaque && (IsAboveFixed(a, b) || IsAboveFixed(b, a))) return {.value = 0};
  if (a.rows && b.rows && !a.varies && !b.varies && !a.opaque && !b.opaque) return {.value = a.value == b.value ? 1.0 : 0.0};
  return Truth(a, b, a.value == b.value);
}

Number Less(const Number& a, const Number& b) {
  if (!a.opaque && !b.opaque) {
    if (IsAboveFixed(a, b)) return {.value = 0};
    if (IsAboveFixed(b, a)) return {.value = 1};
  }
  if (a.rows && b.rows && !a.varies && !b.varies && !a.opaque && !b.opaque) return {.value = a.value < b.value ? 1.0 : 0.0};
  return Truth(a, b, a.value < b.value);
}

Number Choose(const Number& condition, const Number& yes, const Number& no) {
  if (SameSize(yes, no)) return SameForAll(yes, no) ? yes : Result(yes, no, yes.value, yes.rows);
  if (!condition.IsFixed()) return {.rows = condition.rows || yes.rows || no.rows, .varies = true, .opaque = true};
  return condition.value != 0 ? yes : no;
}

Number Apply(const Number& a, double (*function)(double)) {
  if (a.rows && function(a.value) != a.value) return Opaque(a, a);
  Number result = Small(Result(a, a, function(a.value), a.rows));
  if (result.value != a.value) return result;
  result.factor = a.factor;
  result.axes = a.axes;
  return result;
}

Number Product(const Numbers& dims, std::size_t first, std::size_t last) {
  Number product{.value = 1};
  for (std::size_t i = first; i < last; ++i) product = Multiply(product, dims[i]);
  if (!(std::fabs(product.value) < kExactMax)) product.opaque = true;
  return product;
}

bool SameShape(const Value& a, const Value& b) {
  if (a.hasShape != b.hasShape || a.unfollowed != b.unfollowed) return false;
  return std::equal(a.dims.begin(), a.dims.end(), b.dims.begin(), b.dims.end(), SameSize);
}

}  // namespace interleave::graph
