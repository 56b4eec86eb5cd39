#include "text/float_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace interleave {
namespace {

std::string Text(double value) {
  char text[kNumberCharactersMax];
  return {text, WriteNumber(value, text)};
}

TEST(FloatText, WritesNumbersAsJavaScriptDoes) {
  EXPECT_EQ(Text(0), "0");
  EXPECT_EQ(Text(-0.0), "0");
  EXPECT_EQ(Text(1), "1");
  EXPECT_EQ(Text(-12.5), "-12.5");
  EXPECT_EQ(Text(static_cast<double>(0.1F)), "0.10000000149011612");
  EXPECT_EQ(Text(1e20), "100000000000000000000");
  EXPECT_EQ(Text(1e21), "1e+21");
  EXPECT_EQ(Text(123456789012345680000.0), "123456789012345680000");
  EXPECT_EQ(Text(1.5e300), "1.5e+300");
  EXPECT_EQ(Text(0.000001), "0.000001");
  EXPECT_EQ(Text(0.0000001), "1e-7");
  EXPECT_EQ(Text(-1.25e-7), "-1.25e-7");
  EXPECT_EQ(Text(-1.2345678901234567e-6), "-0.0000012345678901234567");
  EXPECT_EQ(Text(5e-324), "5e-324");
  EXPECT_EQ(Text(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(Text(std::nan("")), "null");
}

TEST(FloatText, ReadsBackAsTheSameNumberAndFits) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t bits = random();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    const std::string text = Text(value);
    ASSERT_LT(text.size(), kNumberCharactersMax) << text;
    ASSERT_EQ(std::strtod(text.c_str(), nullptr), value) << text;
  }
}

TEST(FloatText, WritesArrays) {
  char text[4 * kNumberCharactersMax];
  const std::vector<float> values = {1, -0.5F};
  EXPECT_EQ(std::string(text, WriteNumbers(values, text)), "[1,-0.5]");
  EXPECT_EQ(std::string(text, WriteNumbers({}, text)), "[]");
}

}  // namespace
}  // namespace interleave
