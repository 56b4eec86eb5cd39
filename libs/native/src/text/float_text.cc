#include "text/float_text.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "text/short_decimal.h"

namespace interleave {
namespace {

constexpr int kDigitsMax = 9;
constexpr std::uint32_t kFirstDigit = 100'000'000;  // of kDigitsMax digits
constexpr std::size_t kOtherDigits = 8;
// Number::toString of ECMAScript: from 1e21 on, and below 1e-6, there is an exponent.
constexpr int kPointMax = 21;
constexpr int kPointMin = -6;

// Powers of ten by how many digits a number lacks.
constexpr std::array<std::uint32_t, kDigitsMax> kFactors = {1,       10,        100,        1'000,      10'000,
                                                            100'000, 1'000'000, 10'000'000, kFirstDigit};

// How many digits a number has less than kDigitsMax; it is below 2^29. 1233 / 4096 is log10(2), nearly.
int MissingDigits(std::uint32_t number) {
  const int bits = 32 - std::countl_zero(number);
  const int guess = (bits * 1233) >> 12;  // digits, less one where it is right
  return kDigitsMax - guess - (number >= kFactors[static_cast<std::size_t>(guess)] ? 1 : 0);
}

// Eight digits as bytes, the first one lowest: halves, then quarters, then single ones, in lanes of one word.
std::uint64_t DigitBytes(std::uint32_t number) {
  std::uint64_t lanes = number / 10'000 | static_cast<std::uint64_t>(number % 10'000) << 32;
  std::uint64_t quotients = ((lanes * 10'486) >> 20) & 0x0000'007f'0000'007f;
  lanes = quotients | (lanes - quotients * 100) << 16;
  quotients = ((lanes * 103) >> 10) & 0x000f'000f'000f'000f;
  return quotients | (lanes - quotients * 10) << 8;
}

// Writes kDigitsMax digits but for zeros at the end. Returns the end.
char* WriteDigits(std::uint32_t digits, char* target) {
  *target = static_cast<char>('0' + digits / kFirstDigit);
  const std::uint64_t bytes = DigitBytes(digits % kFirstDigit);
  const std::uint64_t text = bytes | 0x3030'3030'3030'3030;
  std::memcpy(target + 1, &text, kOtherDigits);
  return target + 1 + kOtherDigits - static_cast<std::size_t>(std::countl_zero(bytes)) / 8;
}

char* Copy(char* target, std::string_view text) {
  std::memcpy(target, text.data(), text.size());
  return target + text.size();
}

char* Zeros(char* target, std::size_t count) {
  std::memset(target, '0', count);
  return target + count;
}

// "-2.2250738585072014e-308," has 25 characters.
constexpr std::size_t kDoubleCharactersMax = 25;
constexpr std::size_t kNumbersAtOnce = 256;

template <typename Number>
bool TextOf(std::span<const Number> values, std::string& text) {
  std::array<char, kNumbersAtOnce * kDoubleCharactersMax> buffer;
  char* target = buffer.data();
  text = "[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    if (!std::isfinite(value)) return false;
    if (i > 0 && i % kNumbersAtOnce == 0) {
      text.append(buffer.data(), target);
      target = buffer.data();
    }
    // A reader that takes -0 for an integer would lose the sign.
    target = value == 0 ? Copy(target, std::signbit(value) ? "-0.0" : "0")
                        : std::to_chars(target, target + kDoubleCharactersMax, value).ptr;
    *target++ = ',';
  }
  text.append(buffer.data(), target);
  if (values.empty()) text.push_back(']');
  text.back() = ']';
  return true;
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
  // Without a branch: half of the numbers of a vector are negative, and nobody knows which.
  *target = '-';
  target += value < 0 ? 1 : 0;
  auto [digits, exponent] = ShortDecimalOf(std::abs(value));
  const int missing = MissingDigits(digits);
  digits *= kFactors[static_cast<std::size_t>(missing)];
  exponent -= missing;
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

bool DoublesText(std::span<const float> values, std::string& text) { return TextOf(values, text); }

bool DoublesText(std::span<const double> values, std::string& text) { return TextOf(values, text); }

}  // namespace interleave
