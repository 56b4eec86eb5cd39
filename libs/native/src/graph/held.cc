#include "graph/held.h"

#include <algorithm>
#include <cmath>

namespace interleave::graph {
namespace {

// No run has more rows, and no axis of a request that fits the limits is longer.
constexpr double kRowsMax = 65536;
constexpr double kAxisMax = 4194304;
constexpr double kFractions = 65536;

// Whole numbers below this are exact, whatever their sign; 0: the type holds no numbers that are followed.
double LimitOf(int type) {
  switch (type) {
    case kBool:
      return 2;
    case kInt8:
      return 128;
    case kUint8:
    case kBfloat:
      return 256;
    case kHalf:
      return 2048;
    case kInt16:
      return 32768;
    case kUint16:
      return 65536;
    case kFloat:
      return 16777216;
    case kInt32:
    case kUint32:
      return 2147483648;
    case kDouble:
      return 9007199254740992;
    case kInt64:
    case kUint64:
      return 4611686018427387904;
    default:
      return 0;
  }
}

bool IsUnsigned(int type) {
  return type == kBool || type == kUint8 || type == kUint16 || type == kUint32 || type == kUint64;
}

// The part of a float that takes up its digits: powers of two do not.
double Digits(double value) {
  int exponent = 0;
  double digits = std::frexp(std::fabs(value), &exponent);
  while (digits != std::trunc(digits)) digits *= 2;
  return digits;
}

bool IsExactHere(double value, int type) {
  constexpr double kKnownMax = 2147483648;
  const double scale = IsFloatType(type) ? kFractions : 1;
  const bool isWhole = value * scale == std::trunc(value * scale);
  return isWhole && std::fabs(value) < std::min(kKnownMax, LimitOf(type)) && !(IsUnsigned(type) && value < 0);
}

}  // namespace

Number Held(const Number& number, int type) {
  if (number.opaque) return number;
  const double multiple = number.varies && number.factor != 0 ? number.factor : number.value;
  if (!IsExactHere(multiple, type) || !IsExactHere(number.value, type)) return Opaque(number, number);
  if (number.IsFixed()) return number;
  if (IsUnsigned(type) && number.Least() < 0) return Opaque(number, number);
  const auto axes = std::count_if(number.axes.begin(), number.axes.end(), [](auto axis) { return axis != 0; });
  const double sizes = number.varies ? std::pow(kAxisMax, static_cast<double>(std::max<std::ptrdiff_t>(1, axes))) : 1;
  const double largest =
      (IsFloatType(type) ? Digits(multiple) : std::fabs(multiple)) * sizes * (number.rows ? kRowsMax : 1);
  if (largest <= LimitOf(type)) return number;
  // A multiple that is large by itself may be wrong for sizes that occur.
  if (LimitOf(type) < LimitOf(kFloat) ||
      std::fabs(multiple) * kRowsMax > LimitOf(type) * (IsFloatType(type) ? 64 : 1)) {
    return Opaque(number, number);
  }
  Number rough = number;
  rough.rough = true;
  return rough;
}

}  // namespace interleave::graph
