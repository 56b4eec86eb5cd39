#include "session/answer_diff.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "session/item_check.h"

namespace interleave {
namespace {

template <class T>
T At(const std::byte* data, std::size_t i) {
  T value;
  std::memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

// IEEE 754 binary16.
double HalfValue(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * HUGE_VAL : NAN;
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

double NumberAt(const AnswerTensor& tensor, std::size_t i) {
  const std::byte* const data = tensor.bytes.data();
  switch (tensor.type) {
    case ElementType::kFloat32:
      return At<float>(data, i);
    case ElementType::kFloat64:
      return At<double>(data, i);
    case ElementType::kFloat16:
      return HalfValue(At<std::uint16_t>(data, i));
    case ElementType::kBfloat16:
      return std::bit_cast<float>(static_cast<std::uint32_t>(At<std::uint16_t>(data, i)) << 16);
    case ElementType::kUint8:
    case ElementType::kBool:
      return At<std::uint8_t>(data, i);
    case ElementType::kInt8:
      return At<std::int8_t>(data, i);
    case ElementType::kUint16:
      return At<std::uint16_t>(data, i);
    case ElementType::kInt16:
      return At<std::int16_t>(data, i);
    case ElementType::kInt32:
      return At<std::int32_t>(data, i);
    case ElementType::kUint32:
      return At<std::uint32_t>(data, i);
    case ElementType::kInt64:
      return static_cast<double>(At<std::int64_t>(data, i));
    case ElementType::kUint64:
      return static_cast<double>(At<std::uint64_t>(data, i));
    case ElementType::kString:
      break;
  }
  return 0;
}

std::size_t CountOf(const AnswerTensor& tensor) { return static_cast<std::size_t>(ElementCount(tensor.shape)); }

std::size_t ColumnsOf(const Shape& shape) {
  return shape.rank < 2 ? 1 : static_cast<std::size_t>(shape.dims[shape.rank - 1]);
}

// What the output as a whole allows a column is no more than this share of its own numbers, or so many times what the
// column itself allows: one column of millions must not hide what happens in its neighbours.
constexpr double kShareOfColumn = 0.01;
constexpr double kTimesOfColumn = 10;
// Not counted: masked places are filled with such numbers.
constexpr double kFillMin = 1e8;

bool IsSame(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// By how much the numbers differ most, beyond the tolerance: 0 when nowhere, infinity when one of them is not finite.
double WorstDifference(std::size_t output, const AnswerTensor& expected, const AnswerTensor& actual,
                       const AnswerScale& scale, double looseness) {
  const Tolerance tolerance = ToleranceOf(expected.type);
  const std::size_t columns = ColumnsOf(expected.shape);
  const double ofOutput = tolerance.ofOutput * scale.OfOutput(output);
  const double shareMax = std::max(kShareOfColumn, kTimesOfColumn * tolerance.ofColumn);
  double worst = 0;
  for (std::size_t i = 0; i < CountOf(expected); ++i) {
    const double a = NumberAt(expected, i);
    const double b = NumberAt(actual, i);
    if (IsSame(a, b)) continue;
    const double by = std::abs(a - b);
    if (!std::isfinite(by)) return HUGE_VAL;
    const double ofColumn = std::max(std::abs(a), scale.OfColumn(output, i % columns));
    const double allowed = tolerance.ofColumn * ofColumn + std::min(ofOutput, shareMax * ofColumn);
    if (by > looseness * allowed) worst = std::max(worst, by);
  }
  return worst;
}

std::string DifferenceText(const AnswerTensor& expected, const AnswerTensor& actual, double worst) {
  if (ShapeText(expected.shape) != ShapeText(actual.shape)) {
    return " has shape " + ShapeText(actual.shape) + " instead of " + ShapeText(expected.shape);
  }
  if (expected.type == ElementType::kString) return " holds other strings";
  if (std::isinf(worst)) return " has other NaN or infinite values";
  char text[64];
  std::snprintf(text, sizeof(text), " differs by %.3g at most", worst);
  return text;
}

}  // namespace

void AnswerScale::Add(const ProbeAnswer& answer) {
  for (const auto& [output, tensor] : answer) {
    if (tensor.type == ElementType::kString) continue;
    const std::size_t count = ColumnsOf(tensor.shape);
    std::vector<double>& columns = columns_.try_emplace(output, count).first->second;
    if (columns.size() != count)
      columns.assign(1, columns.empty() ? 0 : *std::max_element(columns.begin(), columns.end()));
    for (std::size_t i = 0; i < CountOf(tensor); ++i) {
      const double size = std::abs(NumberAt(tensor, i));
      double& column = columns[i % columns.size()];
      if (size < kFillMin) column = std::max(column, size);
    }
  }
}

double AnswerScale::OfColumn(std::size_t output, std::size_t column) const {
  const auto found = columns_.find(output);
  return found == columns_.end() || found->second.empty() ? 0 : found->second[column % found->second.size()];
}

double AnswerScale::OfOutput(std::size_t output) const {
  const auto found = columns_.find(output);
  if (found == columns_.end() || found->second.empty()) return 0;
  return *std::max_element(found->second.begin(), found->second.end());
}

Tolerance ToleranceOf(ElementType type) {
  switch (type) {
    case ElementType::kFloat32:
    case ElementType::kFloat64:
      return {.ofColumn = 2e-5, .ofOutput = 1e-5};
    case ElementType::kFloat16:
      return {.ofColumn = 5e-3, .ofOutput = 1e-3};
    case ElementType::kBfloat16:
      return {.ofColumn = 4e-2, .ofOutput = 8e-3};
    default:
      return {};
  }
}

Difference DifferenceOf(const ProbeAnswer& expected, const ProbeAnswer& actual, const AnswerScale& scale,
                        double looseness, const Signature& signature) {
  Difference difference;
  for (const auto& [output, wanted] : expected) {
    const AnswerTensor& given = actual.at(output);
    const bool isAlike = ShapeText(wanted.shape) == ShapeText(given.shape);
    if (isAlike && wanted.bytes == given.bytes) continue;
    const bool isNumber = isAlike && wanted.type != ElementType::kString;
    const double worst = isNumber ? WorstDifference(output, wanted, given, scale, looseness) : HUGE_VAL;
    if (worst <= difference.by) continue;
    difference = {worst, "output \"" + signature.outputs[output].name + '"' + DifferenceText(wanted, given, worst)};
  }
  return difference;
}

}  // namespace interleave
