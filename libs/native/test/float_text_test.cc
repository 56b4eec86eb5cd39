#include "text/float_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "text/short_decimal.h"

namespace interleave {
namespace {

std::string Text(float value) {
  char text[kNumberCharactersMax];
  return {text, WriteNumber(value, text)};
}

float FloatOf(std::uint32_t bits) { return std::bit_cast<float>(bits); }

TEST(FloatText, WritesTheFewestDigitsInTheFormOfJavaScript) {
  EXPECT_EQ(Text(0), "0");
  EXPECT_EQ(Text(-0.0F), "0");
  EXPECT_EQ(Text(1), "1");
  EXPECT_EQ(Text(-12.5F), "-12.5");
  EXPECT_EQ(Text(0.1F), "0.1");
  EXPECT_EQ(Text(1.0F / 3), "0.33333334");
  EXPECT_EQ(Text(16777216), "16777216");
  EXPECT_EQ(Text(1e20F), "100000000000000000000");
  EXPECT_EQ(Text(1e21F), "1e+21");
  EXPECT_EQ(Text(-1.2345679e20F), "-123456790000000000000");
  EXPECT_EQ(Text(0x1p90F), "1.2379401e+27");
  EXPECT_EQ(Text(0.000001F), "0.000001");
  EXPECT_EQ(Text(0.0000001F), "1e-7");
  EXPECT_EQ(Text(-1.25e-7F), "-1.25e-7");
  EXPECT_EQ(Text(-1.2345678e-6F), "-0.0000012345678");
  EXPECT_EQ(Text(std::numeric_limits<float>::denorm_min()), "1e-45");
  EXPECT_EQ(Text(std::numeric_limits<float>::max()), "3.4028235e+38");
  EXPECT_EQ(Text(std::numeric_limits<float>::infinity()), "null");
  EXPECT_EQ(Text(std::nanf("")), "null");
}

// Digits and exponent as the library writes a number: `d.ddde+xx`, without zeros at the end.
std::string ScientificText(const ShortDecimal& decimal) {
  std::string digits = std::to_string(decimal.digits);
  const int exponent = decimal.exponent + static_cast<int>(digits.size()) - 1;
  digits.erase(digits.find_last_not_of('0') + 1);
  char power[16];
  std::snprintf(power, sizeof power, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
  return (digits.size() > 1 ? digits.insert(1, ".") : digits) + power;
}

std::string LibraryText(float value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr};
}

// A prime, so that all exponents and many significands come.
constexpr std::uint32_t kStride = 10'007;

TEST(ShortDecimal, IsThatOfTheLibrary) {
  constexpr std::uint32_t kInfinity = 0x7f800000;
  for (std::uint32_t bits = 1; bits < kInfinity; bits += kStride) {
    ASSERT_EQ(ScientificText(ShortDecimalOf(FloatOf(bits))), LibraryText(FloatOf(bits))) << bits;
  }
  for (std::uint32_t bits = 0x00800000; bits < kInfinity; bits += 0x00800000) {
    ASSERT_EQ(ScientificText(ShortDecimalOf(FloatOf(bits))), LibraryText(FloatOf(bits))) << "power of 2, " << bits;
  }
  for (std::uint32_t bits = 1; bits != 0x00800000; bits <<= 1) {
    ASSERT_EQ(ScientificText(ShortDecimalOf(FloatOf(bits))), LibraryText(FloatOf(bits))) << "subnormal, " << bits;
  }
}

TEST(ShortDecimal, MeansTheSameFloatWhenItIsReadAsADoubleFirst) {
  constexpr float kRoundedTwice = 0x1.5c87fap-84F;
  ASSERT_EQ(LibraryText(kRoundedTwice), "7.038531e-26");
  ASSERT_NE(static_cast<float>(7.038531e-26), kRoundedTwice);
  EXPECT_EQ(Text(kRoundedTwice), "7.0385307e-26");
  EXPECT_EQ(static_cast<float>(ShortDoubleOf(kRoundedTwice)), kRoundedTwice);
}

TEST(FloatText, ReadsBackAsTheSameNumberAndFits) {
  std::mt19937 random(7);
  for (int i = 0; i < 200'000; ++i) {
    const float value = FloatOf(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    const std::string text = Text(value);
    ASSERT_LT(text.size(), kNumberCharactersMax) << text;
    ASSERT_EQ(std::strtof(text.c_str(), nullptr), value) << text;
    // What a reader of JSON has, who takes it as a double first.
    ASSERT_EQ(std::strtod(text.c_str(), nullptr), ShortDoubleOf(value)) << text;
    ASSERT_EQ(static_cast<float>(ShortDoubleOf(value)), value) << text;
  }
}

TEST(FloatText, WritesArrays) {
  char text[4 * kNumberCharactersMax];
  const std::vector<float> values = {1, -0.5F};
  EXPECT_EQ(std::string(text, WriteNumbers(values, text)), "[1,-0.5]");
  EXPECT_EQ(std::string(text, WriteNumbers({}, text)), "[]");
}

TEST(DoublesText, ReadsBackAsTheSameDoublesAndHasNoTextForOthers) {
  std::vector<double> values = {-0x1p-1022, -0x1.fffffffffffffp1023, 0x1p-1074, 0, -0.0, 0x1p60};
  std::mt19937_64 random(7);
  while (values.size() < 1025) {
    const auto value = std::bit_cast<double>(static_cast<std::uint64_t>(random()));
    if (std::isfinite(value)) values.push_back(value);
  }
  std::string text;
  ASSERT_TRUE(DoublesText(std::span<const double>(values), text));
  const char* at = text.c_str();
  for (const double value : values) {
    char* end = nullptr;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(std::strtod(at + 1, &end)), std::bit_cast<std::uint64_t>(value)) << value;
    at = end;
  }
  EXPECT_STREQ(at, "]");
  ASSERT_TRUE(DoublesText(std::span<const float>(), text));
  EXPECT_EQ(text, "[]");
  values.back() = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(DoublesText(std::span<const double>(values), text));
}

}  // namespace
}  // namespace interleave
