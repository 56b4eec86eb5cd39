#include "graph/windows.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace interleave::graph {
namespace {

// Made-up rows have 1 to 13 places, and are padded to 40 (session/merge_probe.cc): they show what such a window does.
constexpr double kShownMax = 16;
// What exporters write for "to the end".
constexpr double kToTheEnd = 2147483647;
constexpr const char* kWide = "takes places of a length by windows or parts that are wider than tried rows";

bool IsLong(const Number& dim) { return dim.varies && !dim.rows; }
bool IsShown(double number) { return std::abs(number) <= kShownMax; }

class Windows {
 public:
  Windows(Call& call, double& stride) : call_(call), op_(call.node().op), stride_(stride) {}

  std::string_view Find() {
    if (!call_.Has(0) || !call_.Raw(0)->hasShape || !HasLong(call_.Raw(0)->dims)) return "";
    if (IsConvolution()) return Convolution();
    if (op_ == "Slice") return Slice();
    if (op_ == "Pad") return Pad();
    if (op_ == "Reshape") return Reshape();
    if (op_ == "Gather") return Gather();
    if (op_ == "TopK") return TopK();
    if (op_ == "Tile") return Tile();
    static const std::unordered_set<std::string_view> resizing{"Resize", "Upsample", "SpaceToDepth", "GridSample",
                                                               "STFT",   "Col2Im",   "MaxUnpool",    "CenterCropPad"};
    return resizing.contains(op_) ? kWide : "";
  }

 private:
  const Numbers& Dims() const { return call_.Raw(0)->dims; }
  static bool HasLong(const Numbers& dims) { return std::any_of(dims.begin(), dims.end(), IsLong); }

  // The numbers of an input; null: none, or not known.
  const Numbers* NumbersOf(std::size_t input) const {
    const Value* value = call_.Raw(input);
    return value != nullptr && value->numbers ? &*value->numbers : nullptr;
  }

  bool IsConvolution() const {
    static const std::unordered_set<std::string_view> convolutions{
        "Conv",        "ConvTranspose", "ConvInteger", "QLinearConv",   "FusedConv",
        "AveragePool", "MaxPool",       "LpPool",      "NhwcFusedConv", "QLinearAveragePool"};
    return convolutions.contains(op_);
  }
  std::string_view Convolution() {
    if (op_ == "NhwcFusedConv" || call_.Int("channels_last", 0) != 0) return kWide;
    const Value* weights = call_.Raw(op_ == "QLinearConv" ? 3 : 1);
    const auto kernel = call_.Ints("kernel_shape"), dilations = call_.Ints("dilations"),
               strides = call_.Ints("strides"), pads = call_.Ints("pads");
    double reach = 1, step = 1;
    for (std::size_t axis = 2; axis < Dims().size(); ++axis) {
      if (!IsLong(Dims()[axis])) continue;
      const std::size_t i = axis - 2;
      const auto at = [](const auto& list, std::size_t place, double otherwise) {
        return list && place < list->size() ? static_cast<double>((*list)[place]) : otherwise;
      };
      const bool isWeighted = weights != nullptr && weights->hasShape && axis < weights->dims.size();
      const double wide = at(kernel, i, isWeighted ? weights->dims[axis].value : kToTheEnd);
      step = std::max(step, at(strides, i, 1));
      reach = std::max(
          {reach, (wide - 1) * at(dilations, i, 1) + 1, step, at(pads, i, 0), at(pads, i + Dims().size() - 2, 0)});
    }
    const bool isShown = IsShown(reach * stride_);
    stride_ *= step;
    return isShown ? "" : kWide;
  }

  // Whether a part that ends or begins at `bound` does so where tried rows show it, or where the length itself does.
  bool IsShownBound(const Number& bound, const Number& length) const {
    if (bound.IsFixed()) return IsShown(bound.value * stride_) || std::abs(bound.value) >= kToTheEnd;
    return SameForAll(bound, length);
  }
  std::string_view Slice() {
    if (call_.opset() < 10) {
      const auto starts = call_.Ints("starts"), ends = call_.Ints("ends"), axes = call_.Ints("axes");
      if (!starts || !ends) return kWide;
      for (std::size_t i = 0; i < starts->size() && i < ends->size(); ++i) {
        const Number& length = Dims()[call_.Axis(axes ? axes->at(i) : static_cast<std::int64_t>(i), Dims().size())];
        if (!IsLong(length)) continue;
        const auto isShown = [&](std::int64_t bound) {
          return IsShownBound({.value = static_cast<double>(bound)}, length);
        };
        if (!isShown((*starts)[i]) || !isShown((*ends)[i])) return kWide;
      }
      return "";
    }
    const Numbers *starts = NumbersOf(1), *ends = NumbersOf(2), *axes = NumbersOf(3), *steps = NumbersOf(4);
    const bool isKnown = starts != nullptr && ends != nullptr && (!call_.Has(3) || axes != nullptr);
    if (!isKnown || (call_.Has(4) && (steps == nullptr || steps->size() < starts->size()))) return kWide;
    for (std::size_t i = 0; i < starts->size() && i < ends->size(); ++i) {
      const double axis = axes == nullptr ? static_cast<double>(i) : axes->at(i).value;
      const Number& length = Dims()[call_.Axis(static_cast<std::int64_t>(axis), Dims().size())];
      if (!IsLong(length)) continue;
      const bool isShown = IsShownBound((*starts)[i], length) && IsShownBound((*ends)[i], length);
      if (!isShown || !TakesStep(steps == nullptr ? Number{.value = 1} : steps->at(i))) return kWide;
    }
    return "";
  }

  // Of so many places it takes one; false where tried rows do not show it.
  bool TakesStep(const Number& step) {
    if (!step.IsFixed()) return false;
    stride_ *= std::max(1.0, std::abs(step.value));
    return IsShown(stride_);
  }

  std::string_view Pad() const {
    const auto attribute = call_.Ints("pads");
    const Numbers *amounts = NumbersOf(1), *axes = NumbersOf(3);
    if (!attribute && (amounts == nullptr || (call_.Has(3) && axes == nullptr))) return kWide;
    const std::size_t sides = attribute ? attribute->size() : amounts->size();
    if (sides < 2 || sides % 2 != 0) return kWide;
    for (std::size_t i = 0; i < sides; ++i) {
      const std::size_t place = i % (sides / 2);
      const double axis = axes == nullptr ? static_cast<double>(place) : axes->at(place).value;
      if (!IsLong(Dims()[call_.Axis(static_cast<std::int64_t>(axis), Dims().size())])) continue;
      const Number amount = attribute ? Number{.value = static_cast<double>((*attribute)[i])} : (*amounts)[i];
      if (!amount.IsFixed() || !IsShown(amount.value)) return kWide;
    }
    return "";
  }

  // Each length of the result is one of the input, a multiple of one, or one of all rows together.
  std::string_view Reshape() const {
    const auto& output = call_.outputs()[0];
    if (!output || !output->hasShape) return kWide;
    const bool hasRows =
        std::any_of(Dims().begin(), Dims().end(), [](const Number& dim) { return dim.rows && dim.varies; });
    for (const Number& dim : output->dims) {
      if (!IsLong(dim) || hasRows) continue;
      const bool isKept = std::any_of(Dims().begin(), Dims().end(), [&dim](const Number& from) {
        if (!IsLong(from)) return false;
        const double times = dim.factor / from.factor;
        return SameForAll(dim, from) ||
               (from.factor != 0 && dim.axes == from.axes && times >= 1 && times == std::trunc(times));
      });
      if (!isKept) return kWide;
    }
    return "";
  }

  // Any other entry is one that shorter rows lack.
  std::string_view Gather() const {
    if (!IsLong(Dims()[call_.Axis(call_.Int("axis", 0), Dims().size())])) return "";
    const Numbers* places = NumbersOf(1);
    if (places == nullptr) return "";  // of the rows themselves, or of their masks
    const bool isShown = std::all_of(places->begin(), places->end(), [](const Number& place) {
      return !place.IsFixed() || place.Is(0) || place.Is(-1);
    });
    return isShown ? "" : "takes an entry that shorter rows lack";
  }
  std::string_view TopK() const {
    if (!IsLong(Dims()[call_.Axis(call_.Int("axis", -1), Dims().size())])) return "";
    const Numbers* count = NumbersOf(1);
    const bool isMore = count != nullptr && !count->empty() && count->front().IsFixed() && count->front().value > 1;
    return isMore ? "takes more entries than shorter rows have" : "";
  }
  std::string_view Tile() const {
    const Numbers* repeats = NumbersOf(1);
    for (std::size_t i = 0; i < Dims().size(); ++i) {
      if (IsLong(Dims()[i]) && (repeats == nullptr || i >= repeats->size() || !(*repeats)[i].Is(1))) return kWide;
    }
    return "";
  }

  Call& call_;
  const std::string_view op_;
  double& stride_;
};

}  // namespace

std::string_view WindowUse(Call& call, double& stride) { return Windows(call, stride).Find(); }

}  // namespace interleave::graph
