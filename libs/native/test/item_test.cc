#include "item.h"
#include "clock.h"

#include <gtest/gtest.h>

namespace interleave {
namespace {

TEST(Item, ElementBytesFollowTheOnnxTypeNumbers) {
  EXPECT_EQ(ElementBytes(ElementType::kFloat32), 4u);
  EXPECT_EQ(ElementBytes(ElementType::kBool), 1u);
  EXPECT_EQ(ElementBytes(ElementType::kBfloat16), 2u);
  EXPECT_EQ(ElementBytes(ElementType::kUint64), 8u);
  EXPECT_EQ(ElementBytes(ElementType::kString), 0u);
  EXPECT_EQ(ElementBytes(static_cast<ElementType>(14)), 0u);
}

TEST(Item, TheClockDoesNotGoBack) {
  const auto first = MonotonicNowNs();
  EXPECT_LE(first, MonotonicNowNs());
}

}  // namespace
}  // namespace interleave
