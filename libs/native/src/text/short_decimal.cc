#include "text/short_decimal.h"

#include <array>
#include <bit>
#include <cstddef>

// Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2021) for doubles that are float32 values:
// their exponents need 84 powers of ten, and their last bit is always 0.
namespace interleave {
namespace {

using Wide = unsigned __int128;

constexpr int kSignificandBits = 52;
constexpr std::uint64_t kHidden = std::uint64_t{1} << kSignificandBits;
constexpr int kExponentBias = 1023 + kSignificandBits;

// The powers that the smallest and the largest float32 need.
constexpr int kPowerMin = -22;
constexpr int kPowerMax = 61;

// floor(log2(10^power)), floor(log10(2^power)) and floor(log10(3/4 * 2^power)) for powers of this size.
constexpr int Log2OfPower10(int power) { return (power * 1741647) >> 19; }
constexpr int Log10OfPower2(int power) { return (power * 1262611) >> 22; }
constexpr int Log10OfThreeQuarters(int power) { return (power * 1262611 - 524031) >> 22; }

struct Power10 {
  std::uint64_t high;
  std::uint64_t low;
};

constexpr Power10 Halves(Wide value) {
  return {static_cast<std::uint64_t>(value >> 64), static_cast<std::uint64_t>(value)};
}

// The 128 bits from the first 1 on, rounded up. 5^power has the same ones as 10^power.
constexpr Power10 PowerAbove1(int power) {
  constexpr std::size_t kLimbs = 3;
  std::array<std::uint64_t, kLimbs> limbs{1, 0, 0};  // the last ones first
  for (int i = 0; i < power; ++i) {
    Wide carry = 0;
    for (std::uint64_t& limb : limbs) {
      carry += static_cast<Wide>(limb) * 5;
      limb = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
  }
  // To the left until the first bit of all limbs is a 1.
  while ((limbs[2] >> 63) == 0) {
    for (std::size_t i = kLimbs - 1; i > 0; --i) limbs[i] = limbs[i] << 1 | limbs[i - 1] >> 63;
    limbs[0] <<= 1;
  }
  const Wide top = static_cast<Wide>(limbs[2]) << 64 | limbs[1];
  return Halves(top + (limbs[0] != 0 ? 1 : 0));
}

// The same for 1 / 10^-power, by long division.
constexpr Power10 PowerBelow1(int power) {
  Wide divisor = 1;
  for (int i = 0; i < -power; ++i) divisor *= 10;
  Wide quotient = 0;
  for (Wide rest = 1; (quotient >> 127) == 0;) {
    rest <<= 1;
    quotient <<= 1;
    if (rest < divisor) continue;
    rest -= divisor;
    quotient |= 1;
  }
  return Halves(quotient + 1);
}

constexpr auto kPowers = [] {
  std::array<Power10, kPowerMax - kPowerMin + 1> powers{};
  for (int power = kPowerMin; power <= kPowerMax; ++power) {
    powers[static_cast<std::size_t>(power - kPowerMin)] = power < 0 ? PowerBelow1(power) : PowerAbove1(power);
  }
  return powers;
}();

// power * factor / 2^128, rounded to odd: whole, with the last bit set where something was cut off.
std::uint64_t TimesRoundedToOdd(const Power10& power, std::uint64_t factor) {
  const auto low = static_cast<std::uint64_t>(static_cast<Wide>(power.low) * factor >> 64);
  const Wide sum = static_cast<Wide>(power.high) * factor + low;
  const auto [whole, rest] = Halves(sum);
  return whole | (rest > 1 ? 1 : 0);
}

}  // namespace

ShortDecimal ShortDecimalOf(float value) {
  const auto bits = std::bit_cast<std::uint64_t>(static_cast<double>(value));
  const std::uint64_t fraction = bits & (kHidden - 1);
  const std::uint64_t significand = fraction | kHidden;
  const int exponent = static_cast<int>(bits >> kSignificandBits) - kExponentBias;
  // Below a power of two the doubles are twice as close.
  const bool isPowerOf2 = fraction == 0;
  const int k = isPowerOf2 ? Log10OfThreeQuarters(exponent) : Log10OfPower2(exponent);
  const Power10& power = kPowers[static_cast<std::size_t>(-k - kPowerMin)];
  const int shift = exponent + Log2OfPower10(-k) + 1;
  // Four times the value, and what is halfway to its neighbours, in units of 10^k. Those that are halfway mean the
  // value, as it is even.
  const std::uint64_t times4 = TimesRoundedToOdd(power, 4 * significand << shift);
  const std::uint64_t lower = TimesRoundedToOdd(power, (4 * significand - (isPowerOf2 ? 1 : 2)) << shift);
  const std::uint64_t upper = TimesRoundedToOdd(power, (4 * significand + 2) << shift);
  const std::uint64_t below = times4 / 4;
  // One digit less, if exactly one of two neighbours means the value.
  const std::uint64_t shorter = below / 10;
  const bool shorterFits = lower <= 40 * shorter;
  const bool shorterAboveFits = 40 * shorter + 40 <= upper;
  if (shorterFits != shorterAboveFits) return {shorter + (shorterAboveFits ? 1 : 0), k + 1};
  const bool belowFits = lower <= 4 * below;
  const bool aboveFits = 4 * below + 4 <= upper;
  if (belowFits != aboveFits) return {below + (aboveFits ? 1 : 0), k};
  const std::uint64_t middle = 4 * below + 2;
  const bool roundsUp = times4 > middle || (times4 == middle && below % 2 != 0);
  return {below + (roundsUp ? 1 : 0), k};
}

}  // namespace interleave
