#include "graph/value.h"

#include <algorithm>
#include <cmath>

namespace interleave::graph {
namespace {

// Whole numbers up to here are exact.
constexpr double kExactMax = 9007199254740992.0;

constexpr double kEndless = std::numeric_limits<double>::infinity();

Number Result(const Number& a, const Number& b, double value, bool rows) {
  if (a.opaque || b.opaque) return Opaque(a, b);
  return {.value = value, .rows = rows && value != 0, .varies = a.varies || b.varies, .rough = a.rough || b.rough};
}

// A comparison of sizes that vary may come out otherwise for other sizes.
Number Truth(const Number& a, const Number& b, bool value) {
  return a.IsFixed() && b.IsFixed() ? Number{.value = value ? 1.0 : 0.0} : Opaque(a, b);
}

Number AtLeast(Number number, double least) {
  number.least = std::isnan(least) ? -kEndless : least;
  return number;
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
  const bool fits = std::all_of(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(surplus),
                                [](auto axis) { return axis == 0; });
  if (!fits || factor != std::trunc(factor)) return result;
  result.factor = factor;
  std::copy(axes.begin() + static_cast<std::ptrdiff_t>(surplus), axes.end(), result.axes.begin());
  return result;
}

// There is at least one row, so a number of rows is no less than what it is multiplied with, if that is not negative.
double LeastOf(const Number& a) { return a.opaque || a.rough || (a.rows && a.Least() < 0) ? -kEndless : a.Least(); }

bool IsAbove(const Number& a, const Number& b) { return b.IsFixed() && LeastOf(a) > b.value; }

// The same multiple for every size of the axes.
bool IsWholeMultiple(const Number& a) { return a.varies ? a.factor != 0 : a.value == std::trunc(a.value); }

}  // namespace

bool Value::IsCounted() const {
  if (!numbers) return counted;
  return counted || std::any_of(numbers->begin(), numbers->end(), [](const Number& n) { return n.rows; });
}

// The numbers along an axis that varies are places, which are the same for rows of every length.
bool Value::IsLengthy() const {
  const bool isLong = std::any_of(dims.begin(), dims.end(), [](const Number& dim) { return dim.varies && !dim.rows; });
  if (lengthy || !numbers || isLong) return lengthy;
  return std::any_of(numbers->begin(), numbers->end(),
                     [](const Number& number) { return number.varies && !number.rows && number.below == 0; });
}

bool SameForAll(const Number& a, const Number& b) {
  const Monomial left = MonomialOf(a), right = MonomialOf(b);
  return !a.opaque && !b.opaque && left.factor == right.factor && left.axes == right.axes &&
         (left.factor != 0 || !(a.varies || b.varies));
}

Number Opaque(const Number& a, const Number& b) {
  return {.rows = a.rows || b.rows, .varies = a.varies || b.varies, .opaque = true};
}

Number Add(const Number& a, const Number& b) {
  if (IsNothing(a)) return b;
  if (IsNothing(b)) return a;
  const double sum = a.value + b.value;
  // Rows that cancel out for the example need not do so for other sizes.
  if (a.rows != b.rows || (a.rows && sum == 0)) return Opaque(a, b);
  return AtLeast(Result(a, b, sum, a.rows), a.Least() + b.Least());
}

Number Subtract(const Number& a, const Number& b) {
  Number negative = b;
  negative.value = -b.value;
  negative.least = -kEndless;
  ForgetAxes(negative);
  return Add(a, negative);
}

Number Multiply(const Number& a, const Number& b) {
  if (a.opaque || b.opaque) return Opaque(a, b);
  if (IsNothing(a) || IsNothing(b)) return {};
  if ((a.rows && b.rows) || a.value == 0 || b.value == 0)
    return a.rows || b.rows ? Opaque(a, b) : Result(a, b, 0, false);
  const bool isPositive = a.Least() >= 0 && b.Least() >= 0;
  const Number product =
      AtLeast(Result(a, b, a.value * b.value, a.rows || b.rows), isPositive ? a.Least() * b.Least() : -kEndless);
  return WithAxes(product, a, b, false);
}

Number Divide(const Number& a, const Number& b, bool isInteger) {
  if (b.value == 0 || (b.rows && !a.rows) || a.opaque || b.opaque) return Opaque(a, b);
  const bool rows = a.rows && !b.rows;
  const double quotient = isInteger ? std::trunc(a.value / b.value) : a.value / b.value;
  const double least = a.Least() >= 0 && b.Least() >= 0 ? (b.IsFixed() ? a.Least() / b.value : 0) : -kEndless;
  const Number result =
      WithAxes(AtLeast(Result(a, b, quotient, rows), isInteger ? std::trunc(least) : least), a, b, true);
  // A rest for some size would be lost for each row apart, and for all of them together.
  const bool isExact = result.varies ? result.factor != 0 : quotient == a.value / b.value;
  return rows && isInteger && !isExact ? Opaque(a, b) : result;
}

Number Modulo(const Number& a, const Number& b, bool truncates) {
  if (b.rows || b.value == 0 || a.opaque || b.opaque) return Opaque(a, b);
  if (a.rows) {
    const Number parts = Divide(a, b, true);
    return parts.opaque ? Opaque(a, b) : Number{};
  }
  double rest = std::fmod(a.value, b.value);
  if (!truncates && rest != 0 && (rest < 0) != (b.value < 0)) rest += b.value;
  const bool isPositive = b.Least() >= 0 && (!truncates || a.Least() >= 0);
  return AtLeast(Result(a, b, rest, false), isPositive ? 0 : -kEndless);
}

Number Equal(const Number& a, const Number& b) {
  if (a.rough || b.rough) return Opaque(a, b);
  if (IsAbove(a, b) || IsAbove(b, a)) return {.value = 0};
  if (a.rows && b.rows && !a.varies && !b.varies && !a.opaque && !b.opaque)
    return {.value = a.value == b.value ? 1.0 : 0.0};
  return Truth(a, b, a.value == b.value);
}

Number Less(const Number& a, const Number& b) {
  if (a.rough || b.rough) return Opaque(a, b);
  if (b.IsFixed() && LeastOf(a) >= b.value) return {.value = 0};
  if (IsAbove(b, a)) return {.value = 1};
  if (a.rows && b.rows && !a.varies && !b.varies && !a.opaque && !b.opaque)
    return {.value = a.value < b.value ? 1.0 : 0.0};
  return Truth(a, b, a.value < b.value);
}

Number Choose(const Number& condition, const Number& yes, const Number& no) {
  if (condition.IsFixed()) return condition.value != 0 ? yes : no;
  if (SameSize(yes, no) && SameForAll(yes, no) && yes.rough == no.rough) return yes;
  return {.rows = condition.rows || yes.rows || no.rows, .varies = true, .opaque = true};
}

Number Rounded(const Number& a, double (*function)(double)) {
  const bool isWhole = a.rows ? IsWholeMultiple(a) : function(a.value) == a.value;
  if (a.opaque || (a.rows && !isWhole)) return Opaque(a, a);
  Number result = AtLeast(Result(a, a, function(a.value), a.rows), function(a.Least()));
  if (!isWhole) return result;
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
