#include "text/float_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

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

void WriteHalf(std::uint64_t half, char* target) {
  auto rest = static_cast<std::uint32_t>(half);
  for (std::size_t at = kHalfDigits; at > 0; at -= 2) {
    std::memcpy(target + at - 2, &kPairs[2 * (rest % 100)], 2);
    rest /= 100;
  }
}

// Writes kDigitsMax digits but for zeros at the end. Returns the end.
char* WriteDigits(std::uint64_t digits, char* target) {
  *target = static_cast<char>('0' + digits / (kHalf * kHalf));
  WriteHalf(digits / kHalf % kHalf, target + 1);
  WriteHalf(digits % kHalf, target + 1 + kHalfDigits);
  char* end = target + kDigitsMax;
  while (end[-1] == '0') --end;
  return end;
}

char* Copy(char* target, std::string_view text) {
  std::memcpy(target, text.data(), text.size());
  return target + text.size();
}

char* Zeros(char* target, std::size_t count) {
  std::memset(target, '0', count);
  return target + count;
}

char* WriteWithExponent(std::string_view digits, int exponent, char* target) {
  *target++ = digits.front();
  if (digits.size() > 1) {
    *target++ = '.';
    target = Copy(target, digits.substr(1));
  }
  *target++ = 'e';
  *target++ = exponent < 0 ? '-' : '+';
  return std::to_chars(target, target + 3, std::abs(exponent)).ptr;
}

}  // namespace

char* WriteNumber(float value, char* target) {
  if (!std::isfinite(value)) return Copy(target, "null");
  if (value == 0) return Copy(target, "0");
  if (value < 0) *target++ = '-';
  auto [digits, exponent] = ShortDecimalOf(std::abs(value));
  for (; digits < kFullDigitsMin; --exponent) digits *= 10;
  // The value is 0.<digits> times ten to this power.
  const int point = exponent + kDigitsMax;
  if (point > kPointMin && point <= 0) {
    std::memcpy(target, "0.00000", 2 - kPointMin - 1);
    return WriteDigits(digits, target + 2 - point);
  }
  char buffer[kDigitsMax];
  const std::string_view text(buffer, static_cast<std::size_t>(WriteDigits(digits, buffer) - buffer));
  if (point > kPointMax || point <= kPointMin) return WriteWithExponent(text, point - 1, target);
  const auto whole = static_cast<std::size_t>(point);
  if (text.size() <= whole) return Zeros(Copy(target, text), whole - text.size());
  target = Copy(target, text.substr(0, whole));
  *target++ = '.';
  return Copy(target, text.substr(whole));
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
