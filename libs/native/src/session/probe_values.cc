#include "session/probe_values.h"

#include <algorithm>
#include <limits>
#include <span>
#include <string_view>

#include "session/pad_value.h"

namespace interleave {
namespace {

constexpr std::array<std::string_view, 8> kTexts{
    "",  "hello", "World", "a longer text, with several words in it", "Z\xc3\xbcrich", "x", "\xe4\xb8\xad\xe6\x96\x87",
    "42"};
constexpr std::array<std::string_view, 8> kNumerals{"0", "1", "2", "3.5", "-4", "17", "1000", "0.25"};
constexpr double kHugeFactor = 1e4;  // stays finite in half precision
constexpr double kTinyFactor = 1e-2;

// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  std::int64_t Between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(Next() % static_cast<std::uint64_t>(high - low + 1));
  }
  // About normal, with deviation 1: the sum of four uniform numbers.
  double Normal() {
    const std::uint64_t bits = Next();
    double sum = -2;
    for (int k = 0; k < 4; ++k) sum += static_cast<double>((bits >> (16 * k)) & 0xffffU) / 65536.0;
    return sum * 1.7320508;
  }

 private:
  std::uint64_t state_;
};

double FloatOf(ProbeValues values, Random& random) {
  const double normal = random.Normal();
  switch (values) {
    case ProbeValues::kMild:
    case ProbeValues::kLargestIds:
    case ProbeValues::kSmallestIds:
      return normal;
    case ProbeValues::kNegative:
      return -0.1 - std::abs(normal);
    case ProbeValues::kPositive:
      return 0.1 + std::abs(normal);
    case ProbeValues::kTiny:
      return normal * kTinyFactor;
    case ProbeValues::kHuge:
      return normal * kHugeFactor;
    case ProbeValues::kNotFinite:
      constexpr double kInfinity = std::numeric_limits<double>::infinity();
      const std::array<double, 4> choices{normal, kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN()};
      return choices[random.Next() % choices.size()];
  }
  return normal;
}

bool IsFloat(ElementType type) {
  return type == ElementType::kFloat32 || type == ElementType::kFloat64 || type == ElementType::kFloat16 ||
         type == ElementType::kBfloat16;
}

Shape SizedShape(const TensorSpec& spec, const ProbeDomain& domain, const ProbeRecipe& recipe) {
  Shape shape = spec.shape;
  for (std::size_t d = 0; d < shape.rank; ++d) {
    const int k = SequenceIndex(spec.axes[d]);
    if (spec.axes[d] == Axis::kBatch) {
      shape.dims[d] = recipe.rows;
    } else if (k >= 0) {
      shape.dims[d] = recipe.lengths[static_cast<std::size_t>(k)];
    } else if (spec.axes[d] != Axis::kFixed) {
      shape.dims[d] = d == 1 && shape.rank >= 3 ? domain.channels : domain.free;
    }
  }
  return shape;
}

// Fills one input, element by element.
class Filler {
 public:
  Filler(const TensorSpec& spec, const IntegerRange& range, std::span<const std::int64_t> extremeIds,
         const ProbeRecipe& recipe, std::uint64_t seed)
      : spec_(spec), range_(range), extremeIds_(extremeIds), recipe_(recipe), random_(seed) {}

  double NumberAt(std::int64_t element, std::int64_t lastDim) {
    if (IsMaskName(spec_.name)) return recipe_.endsMasked && lastDim > 1 && element % lastDim == lastDim - 1 ? 0 : 1;
    if (IsFloat(spec_.type)) return FloatOf(recipe_.values, random_);
    if (spec_.type == ElementType::kBool) return static_cast<double>(random_.Next() & 1U);
    if (AreExtremeIds(recipe_.values) && extremeIds_.size() > 1) {
      return static_cast<double>(extremeIds_[recipe_.values == ProbeValues::kLargestIds ? 0 : 1]);
    }
    if (range_.isLength) return static_cast<double>(recipe_.lengths[0]);
    if (recipe_.showsRange && element < 2) return static_cast<double>(element == 0 ? range_.high : range_.low);
    return static_cast<double>(random_.Between(range_.low, range_.high));
  }
  std::string_view TextAt(bool isNumeral) { return (isNumeral ? kNumerals : kTexts)[random_.Next() % kTexts.size()]; }

 private:
  const TensorSpec& spec_;
  const IntegerRange& range_;
  const std::span<const std::int64_t> extremeIds_;
  const ProbeRecipe& recipe_;
  Random random_;
};

std::vector<std::byte> Texts(Filler& filler, std::int64_t count, bool areNumerals) {
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string_view text = filler.TextAt(areNumerals);
    bytes.resize(bytes.size() + EncodedBytes(text));
    EncodeString(bytes.data() + bytes.size() - EncodedBytes(text), text);
  }
  return bytes;
}

std::vector<std::byte> Numbers(Filler& filler, const TensorSpec& spec, const Shape& shape) {
  const std::int64_t count = ElementCount(shape);
  const std::size_t elementBytes = ElementBytes(spec.type);
  const std::int64_t lastDim = shape.rank == 0 ? 1 : shape.dims[shape.rank - 1];
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * elementBytes);
  for (std::int64_t i = 0; i < count; ++i) {
    const PadValue value = EncodePadValue(spec.type, filler.NumberAt(i, lastDim));
    std::copy_n(value.bytes.begin(), elementBytes, bytes.begin() + i * static_cast<std::ptrdiff_t>(elementBytes));
  }
  return bytes;
}

}  // namespace

bool HasRange(const TensorSpec& spec) {
  return !IsFloat(spec.type) && spec.type != ElementType::kBool && spec.type != ElementType::kString &&
         !IsMaskName(spec.name);
}

ProbeItem MixProbeItem(const Signature& signature, const ProbeDomain& domain, const ProbeRecipe& recipe) {
  std::vector<Shape> shapes;
  for (const TensorSpec& spec : signature.inputs) {
    shapes.push_back(SizedShape(spec, domain, recipe));
    const std::int64_t count = ElementCount(shapes.back());
    if (count < 0 || count > kProbeElementsMax)
      throw SignatureError("input \"" + spec.name + "\" is too large to make up");
  }
  std::vector<std::vector<std::byte>> contents;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    std::span<const std::int64_t> extremeIds;
    if (i < signature.extremeIds.size()) extremeIds = signature.extremeIds[i];
    Filler filler(spec, domain.integers[i], extremeIds, recipe, recipe.seed * kTensorsMax + i);
    contents.push_back(spec.type == ElementType::kString ? Texts(filler, ElementCount(shapes[i]), domain.hasNumerals)
                                                         : Numbers(filler, spec, shapes[i]));
  }
  return AssembleProbe(signature, shapes, std::move(contents));
}

}  // namespace interleave
