#include "text/short_decimal.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>

// Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2021) for float32: 77 powers of ten.
namespace interleave {
namespace {

using Wide = unsigned __int128;

constexpr int kSignificandBits = 23;
constexpr std::uint32_t kHidden = std::uint32_t{1} << kSignificandBits;
constexpr int kExponentBias = 127 + kSignificandBits;

// The powers that the largest and the smallest float32 need.
constexpr int kPowerMin = -31;
constexpr int kPowerMax = 45;
// Of those of ten, the largest one that a double holds exactly.
constexpr int kExactPowerMax = 22;

// floor(log2(10^power)), floor(log10(2^power)) and floor(log10(3/4 * 2^power)) for powers of this size.
constexpr int Log2OfPower10(int power) { return (power * 1741647) >> 19; }
constexpr int Log10OfPower2(int power) { return (power * 1262611) >> 22; }
constexpr int Log10OfThreeQuarters(int power) { return (power * 1262611 - 524031) >> 22; }

// The 64 bits from the first 1 on, rounded up. 5^power has the same ones as 10^power, and 5^45 has 105 bits.
constexpr std::uint64_t PowerAbove1(int power) {
  Wide value = 1;
  for (int i = 0; i < power; ++i) value *= 5;
  while ((value >> 127) == 0) value <<= 1;
  return static_cast<std::uint64_t>(value >> 64) + (static_cast<std::uint64_t>(value) != 0 ? 1 : 0);
}

// The same for 1 / 10^-power, by long division.
constexpr std::uint64_t PowerBelow1(int power) {
  Wide divisor = 1;
  for (int i = 0; i < -power; ++i) divisor *= 10;
  std::uint64_t quotient = 0;
  for (Wide rest = 1; (quotient >> 63) == 0;) {
    rest <<= 1;
    quotient <<= 1;
    if (rest < divisor) continue;
    rest -= divisor;
    quotient |= 1;
  }
  return quotient + 1;
}

constexpr auto kPowers = [] {
  std::array<std::uint64_t, kPowerMax - kPowerMin + 1> powers{};
  for (int power = kPowerMin; power <= kPowerMax; ++power) {
    powers[static_cast<std::size_t>(power - kPowerMin)] = power < 0 ? PowerBelow1(power) : PowerAbove1(power);
  }
  return powers;
}();

// Its shortest digits, 7.038531e-26, mean its neighbour to a reader who takes them as a double first. It is the only
// one of all.
constexpr std::uint32_t kRoundedTwiceBits = 0x15ae43fd;
constexpr ShortDecimal kRoundedTwice{70385307, -33};

constexpr auto kExactPowers = [] {
  std::array<double, kExactPowerMax + 1> powers{1};
  for (std::size_t power = 1; power < powers.size(); ++power) powers[power] = powers[power - 1] * 10;
  return powers;
}();

// power * factor / 2^64, rounded to odd: whole, with the last bit set where something was cut off.
std::uint32_t TimesRoundedToOdd(std::uint64_t power, std::uint32_t factor) {
  const Wide product = static_cast<Wide>(power) * factor;
  const auto rest = static_cast<std::uint32_t>(product >> 32);
  return static_cast<std::uint32_t>(product >> 64) | (rest > 1 ? 1 : 0);
}

}  // namespace

ShortDecimal ShortDecimalOf(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (bits == kRoundedTwiceBits) return kRoundedTwice;
  const std::uint32_t fraction = bits & (kHidden - 1);
  const std::uint32_t biased = bits >> kSignificandBits;
  const std::uint32_t significand = biased == 0 ? fraction : fraction | kHidden;
  const int exponent = static_cast<int>(biased == 0 ? 1 : biased) - kExponentBias;
  // Below a power of two the numbers are twice as close, but for the smallest ones.
  const bool isPowerOf2 = fraction == 0 && biased > 1;
  const int k = isPowerOf2 ? Log10OfThreeQuarters(exponent) : Log10OfPower2(exponent);
  const std::uint64_t power = kPowers[static_cast<std::size_t>(-k - kPowerMin)];
  const int shift = exponent + Log2OfPower10(-k) + 1;
  // Four times the value, and what is halfway to its neighbours, in units of 10^k. Those that are halfway mean the
  // value where it is even.
  const std::uint32_t odd = significand & 1;
  const std::uint32_t times4 = TimesRoundedToOdd(power, (4 * significand) << shift);
  const std::uint32_t lower = TimesRoundedToOdd(power, (4 * significand - (isPowerOf2 ? 1 : 2)) << shift) + odd;
  const std::uint32_t upper = TimesRoundedToOdd(power, (4 * significand + 2) << shift) - odd;
  const std::uint32_t below = times4 / 4;
  const bool belowFits = lower <= 4 * below;
  const bool aboveFits = 4 * below + 4 <= upper;
  const std::uint32_t middle = 4 * below + 2;
  const bool roundsUp = times4 > middle || (times4 == middle && below % 2 != 0);
  const std::uint32_t digits = below + static_cast<std::uint32_t>(belowFits != aboveFits ? aboveFits : roundsUp);
  // One digit less, if exactly one of two neighbours means the value.
  const std::uint32_t shorter = below / 10;
  const bool shorterFits = lower <= 40 * shorter;
  const bool shorterAboveFits = 40 * shorter + 40 <= upper;
  const bool isShorter = shorterFits != shorterAboveFits;
  return {isShorter ? shorter + static_cast<std::uint32_t>(shorterAboveFits) : digits, k + static_cast<int>(isShorter)};
}

double ShortDoubleOf(float value) {
  if (value == 0) return value;
  const auto [digits, exponent] = ShortDecimalOf(std::abs(value));
  double number = digits;
  // Both are exact, so the result is rounded once (William D. Clinger, "How to read floating point numbers
  // accurately", 1990).
  if (exponent >= 0 && exponent <= kExactPowerMax) {
    number *= kExactPowers[static_cast<std::size_t>(exponent)];
  } else if (exponent < 0 && exponent >= -kExactPowerMax) {
    number /= kExactPowers[static_cast<std::size_t>(-exponent)];
  } else {
    const std::string text = std::to_string(digits) + 'e' + std::to_string(exponent);
    std::from_chars(text.data(), text.data() + text.size(), number);
  }
  return value < 0 ? -number : number;
}

}  // namespace interleave
