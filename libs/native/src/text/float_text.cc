#include "text/float_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "text/short_decimal.h"

namespace interleave {
namespace {

constexpr int kDigitsMax = 17;
constexpr std::uint64_t kFullDigitsMin = 10'000'000'000'000'000;  // of kDigitsMax digits
constexpr std::uint64_t kHalf = 100'000'000;
constexpr std::uint64_t kHalfDigits = 8;
// Number::toString of ECMAScript: from 1e21 on, and below 1e-6, there is an exponent.
constexpr int kPointMax = 21;
constexpr int kPointMin = -6;

// 00, 01 ... 99.
constexpr auto kPairs = [] {
  std::array<char, 200> pairs{};
  for (std::size_t i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}();

struct Decimal {
  char digits[kDigitsMax];  // the value is 0.<digits> times ten to the power of `point`
  int count;                // without zeros at the end
  int point;
};

void WriteHalf(std::uint64_t half, char* target) {
  auto rest = static_cast<std::uint32_t>(half);
  for (std::size_t at = kHalfDigits; at > 0; at -= 2) {
    std::memcpy(target + at - 2, &kPairs[2 * (rest % 100)], 2);
    rest /= 100;
  }
}

Decimal DecimalOf(float value) {
  auto [digits, exponent] = ShortDecimalOf(value);
  while (digits < kFullDigitsMin) {
    digits *= 10;
    --exponent;
  }
  Decimal decimal{.digits = {}, .count = kDigitsMax, .point = exponent + kDigitsMax};
  decimal.digits[0] = static_cast<char>('0' + digits / (kHalf * kHalf));
  WriteHalf(digits / kHalf % kHalf, decimal.digits + 1);
  WriteHalf(digits % kHalf, decimal.digits + 1 + kHalfDigits);
  while (decimal.digits[decimal.count - 1] == '0') --decimal.count;
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

char* WriteNumber(float value, char* target) {
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
