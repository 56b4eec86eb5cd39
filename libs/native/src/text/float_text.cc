#include "text/float_text.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

namespace interleave {
namespace {

constexpr int kDigitsMax = 17;
// Number::toString of ECMAScript: from 1e21 on, and below 1e-6, there is an exponent.
constexpr int kPointMax = 21;
constexpr int kPointMin = -6;

struct Decimal {
  char digits[kDigitsMax];  // without zeros at the end
  int count;
  int point;  // the value is 0.<digits> times ten to this power
};

// The shortest digits that mean no other double, and of those the closest: what ECMAScript asks for.
Decimal DecimalOf(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  Decimal decimal{};
  const char* at = text;
  for (; *at != 'e'; ++at)
    if (*at != '.') decimal.digits[decimal.count++] = *at;
  ++at;
  const bool isNegative = *at == '-';
  int exponent = 0;
  std::from_chars(at + 1, end, exponent);
  decimal.point = (isNegative ? -exponent : exponent) + 1;
  return decimal;
}

char* Copy(char* target, const char* digits, int count) {
  std::memcpy(target, digits, static_cast<std::size_t>(count));
  return target + count;
}

char* Zeros(char* target, int count) {
  std::memset(target, '0', static_cast<std::size_t>(count));
  return target + count;
}

char* WriteWithExponent(const Decimal& decimal, char* target) {
  *target++ = decimal.digits[0];
  if (decimal.count > 1) {
    *target++ = '.';
    target = Copy(target, decimal.digits + 1, decimal.count - 1);
  }
  *target++ = 'e';
  const int exponent = decimal.point - 1;
  *target++ = exponent < 0 ? '-' : '+';
  return std::to_chars(target, target + 3, std::abs(exponent)).ptr;
}

}  // namespace

char* WriteNumber(double value, char* target) {
  if (!std::isfinite(value)) return Copy(target, "null", 4);
  if (value == 0) return Copy(target, "0", 1);
  if (value < 0) *target++ = '-';
  const Decimal decimal = DecimalOf(std::abs(value));
  const auto [count, point] = std::pair(decimal.count, decimal.point);
  if (point > kPointMax || point <= kPointMin) return WriteWithExponent(decimal, target);
  if (count <= point) return Zeros(Copy(target, decimal.digits, count), point - count);
  if (point > 0) {
    target = Copy(target, decimal.digits, point);
    *target++ = '.';
    return Copy(target, decimal.digits + point, count - point);
  }
  target = Zeros(Copy(target, "0.", 2), -point);
  return Copy(target, decimal.digits, count);
}

char* WriteNumbers(std::span<const float> values, char* target) {
  *target++ = '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) *target++ = ',';
    target = WriteNumber(values[i], target);
  }
  *target++ = ']';
  return target;
}

}  // namespace interleave
