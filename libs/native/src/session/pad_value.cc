#include "session/pad_value.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "session/signature.h"

namespace interleave {
namespace {

template <class T>
PadValue Stored(T value) {
  PadValue pad;
  std::memcpy(pad.bytes.data(), &value, sizeof(value));
  return pad;
}

[[noreturn]] void Refuse(ElementType type, double value) {
  throw std::invalid_argument("pad value " + std::to_string(value) + " does not fit " +
                              std::string(DatatypeName(type)));
}

template <class T>
PadValue Integer(ElementType type, double value) {
  // The upper limits of 64-bit types are not exact in a double, hence "<" on the next power of two.
  const double limit = std::ldexp(1.0, std::numeric_limits<T>::digits);
  const double lowest = std::numeric_limits<T>::is_signed ? -limit : 0.0;
  if (value != std::trunc(value) || value < lowest || value >= limit) Refuse(type, value);
  return Stored(static_cast<T>(value));
}

std::uint16_t Bfloat16Bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);  // round to nearest even
}

// IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits; rounds to nearest even, overflows to infinity.
std::uint16_t Float16Bits(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000U : 0U;
  const double magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7e00U;
  if (magnitude == 0.0) return sign;
  if (magnitude >= 65520.0) return sign | 0x7c00U;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  // Spacing of the representable values around `magnitude`; below 2^-14 it is constant.
  const int spacing = std::max(exponent - 11, -24);
  const auto steps = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, -spacing)));
  // Each binade is 1024 steps; a carry out of the fraction runs into the exponent by itself.
  const std::uint32_t binade = static_cast<std::uint32_t>(spacing + 24) * 1024U;
  return static_cast<std::uint16_t>(sign | (binade + steps));
}

}  // namespace

PadValue EncodePadValue(ElementType type, double value) {
  switch (type) {
    case ElementType::kFloat32:
      return Stored(static_cast<float>(value));
    case ElementType::kFloat64:
      return Stored(value);
    case ElementType::kFloat16:
      return Stored(Float16Bits(value));
    case ElementType::kBfloat16:
      return Stored(Bfloat16Bits(static_cast<float>(value)));
    case ElementType::kBool:
      if (value != 0.0 && value != 1.0) Refuse(type, value);
      return Stored(static_cast<std::uint8_t>(value));
    case ElementType::kString:
      if (value != 0.0) Refuse(type, value);
      return {};
    case ElementType::kUint8:
      return Integer<std::uint8_t>(type, value);
    case ElementType::kInt8:
      return Integer<std::int8_t>(type, value);
    case ElementType::kUint16:
      return Integer<std::uint16_t>(type, value);
    case ElementType::kInt16:
      return Integer<std::int16_t>(type, value);
    case ElementType::kUint32:
      return Integer<std::uint32_t>(type, value);
    case ElementType::kInt32:
      return Integer<std::int32_t>(type, value);
    case ElementType::kUint64:
      return Integer<std::uint64_t>(type, value);
    case ElementType::kInt64:
      return Integer<std::int64_t>(type, value);
  }
  return {};
}

}  // namespace interleave
