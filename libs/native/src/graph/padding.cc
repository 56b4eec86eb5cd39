#include "graph/padding.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "graph/intervals.h"
#include "graph/windows.h"

namespace interleave::graph {
namespace {

using Kind = Padding::Kind;

// Scores of real tokens are smaller; BERT's own masks take -10 000.
constexpr double kFillMin = 1e4;
constexpr std::size_t kLookupsMax = 16;

bool IsAlong(Kind kind) { return kind == Kind::kMask || kind == Kind::kIds; }
bool IsOutOfReach(const Interval& fill) { return fill.low >= kFillMin || fill.high <= -kFillMin; }

// The numbers are the same in another shape, or some of them from the start on.
bool IsRelaying(std::string_view op) {
  static const std::unordered_set<std::string_view> relaying{"Identity",  "Reshape", "Unsqueeze", "Squeeze",
                                                             "Transpose", "Flatten", "Expand",    "Dropout"};
  return relaying.contains(op);
}

// Data that keep the fill of their hidden places, or make another one of it.
bool KeepsFill(std::string_view op) {
  static const std::unordered_set<std::string_view> keeping{
      "Cast", "Abs",  "Neg",   "Relu", "Exp", "Tanh", "Sigmoid",   "Add",    "Sub",   "Mul", "Div",
      "Sqrt", "Clip", "Slice", "Pow",  "Erf", "Gelu", "LeakyRelu", "Concat", "Split", "Tile"};
  return IsRelaying(op) || keeping.contains(op);
}
// Data that stay out of reach where they are, whatever comes to them.
bool KeepsFar(std::string_view op) {
  return IsRelaying(op) || op == "Cast" || op == "Add" || op == "Sub" || op == "Slice";
}
// Data that are out of reach where all of them are.
bool KeepsFarTogether(std::string_view op) { return op == "Max" || op == "Min" || op == "Concat"; }
bool IsSoftmax(std::string_view op) { return op == "Softmax" || op == "LogSoftmax" || op == "ReduceLogSumExp"; }
bool PicksExtremes(std::string_view op) {
  static const std::unordered_set<std::string_view> picking{"ReduceMax", "ReduceMin",  "ArgMax",          "ArgMin",
                                                            "TopK",      "MaxPool",    "GlobalMaxPool",   "Hardmax",
                                                            "Softmax",   "LogSoftmax", "ReduceLogSumExp", "ReduceProd"};
  return picking.contains(op);
}

std::ptrdiff_t LongAxes(const Value& value) {
  return std::count_if(value.dims.begin(), value.dims.end(), [](const Number& dim) { return dim.varies && !dim.rows; });
}

// One operator.
class Follower {
 public:
  Follower(Call& call, PaddingUse& use)
      : call_(call), use_(use), op_(call.node().op), isStandard_(call.node().domain.empty()) {}

  Padding Follow() {
    if (!HasAny() || (isStandard_ && (op_ == "Shape" || op_ == "Size"))) return OfNumbers();
    if (IsWindowed()) return Wrong(windowUse_);
    if (!isStandard_) return OfContrib();
    if (op_ == "Where") return Where();
    if (op_ == "Gather" || op_ == "GatherElements" || op_ == "GatherND") return Gather();
    if (op_ == "OneHot") return OneHot();
    if (Has(Kind::kData)) return Meet();
    if (!Has(Kind::kMask) && !Has(Kind::kIds)) return Count();
    const auto combination = Combinations().find(op_);
    if (combination != Combinations().end() && call_.size() == 2) return Combined(combination->second);
    return AlongOnly();
  }

 private:
  const Padding& Of(std::size_t i) const {
    static const Padding none;
    return call_.Has(i) ? call_.Raw(i)->padding : none;
  }
  bool Has(Kind kind) const {
    for (std::size_t i = 0; i < call_.size(); ++i) {
      if (call_.Has(i) && Of(i).kind == kind) return true;
    }
    return false;
  }
  bool HasAny() const { return HasAlong() || Has(Kind::kCount) || Has(Kind::kData); }
  bool HasAlong() const { return Has(Kind::kMask) || Has(Kind::kIds); }
  bool IsOfIds() const {
    for (std::size_t i = 0; i < call_.size(); ++i) {
      if (Of(i).kind == Kind::kIds || Of(i).isOfIds) return true;
    }
    return false;
  }
  Padding Wrong(std::string_view what) {
    if (use_.reason.empty()) use_.reason = call_.Who() + std::string(what);
    return {.kind = Kind::kData};
  }
  Padding Data(bool isZeroFilled = false, bool isFarFilled = false) const {
    return {.kind = Kind::kData, .isZeroFilled = isZeroFilled, .isFarFilled = isFarFilled};
  }
  bool IsWindowed() {
    if (Of(0).kind == Kind::kData) windowUse_ = WindowUse(call_, use_.stride);
    return !windowUse_.empty();
  }
  // It makes one of the places of a length.
  bool LosesLength() const {
    const auto& out = call_.outputs()[0];
    const Value* from = call_.Raw(0);
    return out && out->hasShape && from != nullptr && from->hasShape && LongAxes(*out) < LongAxes(*from);
  }
  Padding Mask(Interval hidden = {}, Interval shown = {}) const {
    return {.kind = Kind::kMask, .isOfIds = IsOfIds(), .hidden = hidden, .shown = shown};
  }

  // Numbers of the graph are the same everywhere.
  Interval Shown(std::size_t i) const {
    const Value* value = call_.Raw(i);
    if (Of(i).kind != Kind::kNothing || value == nullptr || !value->numbers || value->numbers->empty())
      return Of(i).shown;
    Interval all{value->numbers->front().value, value->numbers->front().value};
    for (const Number& number : *value->numbers) {
      if (!number.IsFixed()) return Of(i).shown;
      all = Hull(all, {number.value, number.value});
    }
    return all;
  }
  Interval Hidden(std::size_t i) const { return IsAlong(Of(i).kind) ? Of(i).hidden : Shown(i); }

  Padding Combined(Combine combine) const {
    Interval hidden = combine(Hidden(0), Hidden(1));
    if (IsAlong(Of(0).kind) && IsAlong(Of(1).kind)) {
      hidden = Hull(hidden, Hull(combine(Hidden(0), Shown(1)), combine(Shown(0), Hidden(1))));
    }
    Padding padding = Mask(hidden, combine(Shown(0), Shown(1)));
    if (Has(Kind::kIds) && !IsComparison(op_)) padding.kind = Kind::kIds;
    return padding;
  }

  // Numbers that are known before they get a type or shape in which they are not followed.
  Padding OfNumbers() const {
    const bool isKept = isStandard_ && (IsRelaying(op_) || (op_ == "Cast" && !IsIntegerType(call_.Int("to", 0))));
    return isKept ? Padding{.shown = Shown(0)} : Padding{};
  }

  // Masks and ids alone.
  Padding AlongOnly() {
    const Padding& from = Of(0);
    if (op_ == "Cast") return Cast();
    if (IsRelaying(op_)) return IsAlong(from.kind) ? from : Mask();
    if (op_ == "Not") return Mask(Negated(from.hidden), Negated(from.shown));
    if (op_ == "Neg") return Negative();
    if (op_ == "Slice") return Slice();
    if (op_ == "CumSum" && (call_.Int("reverse", 0) == 0 || from.hidden.Is(0)) && from.kind == Kind::kMask)
      return Mask();
    if (op_.starts_with("Reduce") || op_ == "ArgMax" || op_ == "ArgMin") return Reduce();
    if (op_ == "Concat" && AllAlong()) return Joined();
    if (op_ == "Clip" || op_ == "Abs" || op_ == "Sign" || op_ == "Xor" || op_ == "Mod" || op_ == "Exp" ||
        op_ == "Log" || op_ == "Trilu" || op_ == "Pow") {
      return Has(Kind::kIds) ? Padding{.kind = Kind::kIds} : Mask();
    }
    return Wrong("works on a mask or token ids in a way that is not followed");
  }

  Padding Negative() const {
    Padding negative = Of(0);
    negative.hidden = {-Of(0).hidden.high, -Of(0).hidden.low};
    negative.shown = {-Of(0).shown.high, -Of(0).shown.low};
    return negative;
  }

  Padding Cast() {
    constexpr std::int64_t kBool = 9;
    const Padding& from = Of(0);
    const std::int64_t to = call_.Int("to", 0);
    if (to == kBool) return Mask(Negated(Negated(from.hidden)), Negated(Negated(from.shown)));
    if (from.kind == Kind::kIds && !IsIntegerType(to)) return Wrong("computes with token ids as numbers");
    return from;
  }

  bool AllAlong() const {
    for (std::size_t i = 0; i < call_.size(); ++i) {
      if (!IsAlong(Of(i).kind)) return false;
    }
    return true;
  }
  Padding Joined() const {
    Padding all = Of(0);
    for (std::size_t i = 1; i < call_.size(); ++i) all = EitherPadding(all, Of(i));
    return all;
  }

  // From the start on: what lies at the end is padding in one run, and is not in the other.
  Padding Slice() {
    const auto isFromStart = [](double start) { return start >= 0; };
    bool fromStart = false;
    if (call_.opset() < 10) {
      const auto starts = call_.Ints("starts");
      fromStart = starts && std::all_of(starts->begin(), starts->end(), isFromStart);
    } else {
      fromStart = isFromStart(Shown(1).low) && (!call_.Has(4) || Shown(4).low > 0);
    }
    return fromStart ? Of(0) : Wrong("takes the end of a mask or of token ids");
  }

  // A mask as a whole says the same when hidden places change nothing.
  Padding Reduce() {
    const Padding& from = Of(0);
    const Value* out = call_.outputs()[0] ? &*call_.outputs()[0] : nullptr;
    if (from.kind != Kind::kMask || out == nullptr || !out->hasShape)
      return Wrong("computes with token ids as numbers");
    if (LongAxes(*out) == LongAxes(call_.In(0))) return Mask();
    const bool isSum = op_ == "ReduceSum" || op_ == "ReduceL1" || op_ == "ReduceL2" || op_ == "ReduceSumSquare";
    const bool isMax = op_ == "ReduceMax" || (op_ == "ArgMax" && call_.Int("select_last_index", 0) == 0);
    const bool isMin = op_ == "ReduceMin" || (op_ == "ArgMin" && call_.Int("select_last_index", 0) == 0);
    const bool isSame = (isSum && from.hidden.Is(0)) || (isMax && from.hidden.high <= from.shown.low) ||
                        (isMin && from.hidden.low >= from.shown.high);
    if (!isSame) return Wrong("counts places that rows are padded with");
    if (LongAxes(*out) > 0) return Mask();
    return {.kind = Kind::kCount, .isOfIds = from.isOfIds};
  }

  // Counts, and numbers of the graph.
  Padding Count() const {
    const bool hasLong = std::any_of(call_.outputs().begin(), call_.outputs().end(), [](const auto& output) {
      return !output || !output->hasShape || LongAxes(*output) > 0;
    });
    return hasLong ? Mask() : Padding{.kind = Kind::kCount, .isOfIds = IsOfIds()};
  }

  Padding Gather() {
    const Padding &data = Of(0), &places = Of(1);
    if (data.kind == Kind::kNothing && places.kind == Kind::kIds && use_.lookups.size() < kLookupsMax) {
      use_.lookups.emplace(places.input, call_.node().inputs[0]);
    }
    if (data.kind == Kind::kNothing)
      return places.kind == Kind::kNothing ? Padding{} : places.kind == Kind::kCount ? Count() : Data();
    if (IsAlong(places.kind)) return Wrong("takes entries by a mask or token ids");
    if (!IsAlong(data.kind)) return data.kind == Kind::kCount ? Count() : Data();
    if (places.kind == Kind::kData) return Wrong("takes entries of a mask or token ids by values of the rows");
    const Interval known = Shown(1);
    if (places.kind == Kind::kNothing && known.low < 0 && known.low > -std::numeric_limits<double>::infinity()) {
      return Wrong("takes the end of a mask or of token ids");
    }
    return data;
  }

  // A row of a table as well.
  Padding OneHot() {
    const bool isLookedUp = Of(0).kind == Kind::kIds || Of(0).kind == Kind::kData;
    return isLookedUp ? Data() : Wrong("works on a mask in a way that is not followed");
  }

  Padding Where() {
    const Kind condition = Of(0).kind;
    const bool isAlong = HasAlong();
    if (condition != Kind::kMask) {
      if (!isAlong) return Has(Kind::kData) ? Data(Of(1).isZeroFilled || Of(2).isZeroFilled) : Count();
      if (!Has(Kind::kData)) return EitherAlong();
      return FillsRight(1) && FillsRight(2) ? Data() : Wrong("puts numbers of a mask beside data");
    }
    const bool mayBeYes = !Hidden(0).Is(0), mayBeNo = !Hidden(0).Is(1);
    if (!Has(Kind::kData)) {
      const auto either = [](bool yes, bool no, const Interval& a, const Interval& b) {
        return yes && no ? Hull(a, b) : yes ? a : b;
      };
      const Interval shown = either(!Shown(0).Is(0), !Shown(0).Is(1), Shown(1), Shown(2));
      const auto all = [this](std::size_t i) { return IsAlong(Of(i).kind) ? Hull(Hidden(i), Shown(i)) : Shown(i); };
      Padding padding = Mask(either(mayBeYes, mayBeNo, all(1), all(2)), shown);
      if (Has(Kind::kIds)) padding.kind = Kind::kIds;
      return padding;
    }
    const bool fillsRight = (!mayBeYes || FillsRight(1)) && (!mayBeNo || FillsRight(2));
    if (!fillsRight) return Wrong("puts a number that real ones may pass where rows are masked");
    const bool isZero = (mayBeYes && Of(1).kind != Kind::kData && Hidden(1).Is(0)) ||
                        (mayBeNo && Of(2).kind != Kind::kData && Hidden(2).Is(0));
    if (!isZero && Of(0).isOfIds) return Wrong("masks places by their token ids");
    const bool isFar = (mayBeYes && IsAwayFrom(1)) || (mayBeNo && IsAwayFrom(2));
    return Data(isZero, isFar);
  }
  bool IsAwayFrom(std::size_t i) const {
    return Of(i).kind == Kind::kData ? Of(i).isFarFilled : IsOutOfReach(Hidden(i));
  }
  Padding EitherAlong() const {
    Padding either = Mask(Hull(Hidden(1), Hidden(2)), Hull(Shown(1), Shown(2)));
    if (Has(Kind::kIds)) either.kind = Kind::kIds;
    return either;
  }
  // What a hidden place gets from input `i` of Where: another value that is hidden anyway, 0, or a number out of reach.
  bool FillsRight(std::size_t i) const {
    if (Of(i).kind == Kind::kData || Of(i).kind == Kind::kCount) return true;
    return Hidden(i).Is(0) || IsOutOfReach(Hidden(i));
  }

  // Data, with a mask or ids or without.
  Padding Meet() {
    if (!HasAlong()) return FollowFill();
    if (Has(Kind::kIds)) return Wrong("computes with token ids as numbers");
    const std::size_t mask = IsAlong(Of(0).kind) ? 0 : 1;
    const Interval hidden = Hidden(mask);
    const bool areTwo = call_.size() == 2;
    if (areTwo && (op_ == "Mul" || op_ == "MatMul" || op_ == "And") && hidden.Is(0)) return Data(op_ == "Mul");
    if (areTwo && op_ == "Or" && hidden.Is(1)) return Data();
    const bool isFilling = areTwo && (op_ == "Add" || (op_ == "Sub" && mask == 1));
    if (!isFilling) return Wrong("puts numbers of a mask beside data");
    if (!IsOutOfReach(hidden)) return Wrong("puts a number that real ones may pass where rows are masked");
    return Of(mask).isOfIds ? Wrong("masks places by their token ids") : Data(false, true);
  }
  Padding FollowFill() {
    bool isFilled = false, isFar = false, areFar = true;
    std::size_t others = 0;
    for (std::size_t i = 0; i < call_.size(); ++i) {
      isFilled = isFilled || Of(i).isZeroFilled;
      isFar = isFar || Of(i).isFarFilled;
      areFar = areFar && Of(i).isFarFilled;
      others += Of(i).kind == Kind::kData && !Of(i).isZeroFilled ? 1 : 0;
    }
    if (isFilled && PicksExtremes(op_))
      return Wrong("picks among values of which masked ones are set to a number that real ones may pass");
    if (LosesLength()) {
      if (PicksExtremes(op_) && !IsSoftmax(op_) && !isFar)
        return Wrong("picks among values of places that rows are padded with");
      if (op_ == "ReduceMean" || op_ == "GlobalAveragePool") return Wrong("counts places that rows are padded with");
    }
    return Data(isFilled && others == 0 && KeepsFill(op_),
                (isFar && KeepsFar(op_)) || (areFar && KeepsFarTogether(op_)));
  }

  // ONNX Runtime's own, with a mask as one of their inputs. Ids are looked up in EmbedLayerNormalization alone.
  Padding OfContrib() {
    static const std::unordered_set<std::string_view> attentions{"Attention", "QAttention", "MultiHeadAttention"};
    if (!HasAlong()) return Has(Kind::kData) ? Data() : Count();
    if (op_ == "EmbedLayerNormalization") return Data();
    if (!attentions.contains(op_) || Has(Kind::kIds))
      return Wrong("works on a mask or token ids in a way that is not followed");
    const Attribute* fill = call_.Find("mask_filter_value");
    if (fill != nullptr && !IsOutOfReach({fill->number, fill->number})) {
      return Wrong("puts a number that real ones may pass where rows are masked");
    }
    for (std::size_t i = 0; i < call_.size(); ++i) {
      if (Of(i).kind != Kind::kMask) continue;
      if (Of(i).isOfIds) return Wrong("masks places by their token ids");
      if (!Hidden(i).Is(0) && !IsOutOfReach(Hidden(i)))
        return Wrong("puts a number that real ones may pass where rows are masked");
    }
    return Data();
  }

  Call& call_;
  PaddingUse& use_;
  const std::string_view op_;
  const bool isStandard_;
  std::string_view windowUse_;
};

}  // namespace

Padding EitherPadding(const Padding& a, const Padding& b) {
  if (a.kind == Kind::kNothing) return b;
  if (b.kind == Kind::kNothing) return a;
  return {.kind = std::max(a.kind, b.kind),
          .isOfIds = a.isOfIds || b.isOfIds,
          .isZeroFilled = a.isZeroFilled || b.isZeroFilled,
          .isFarFilled = a.isFarFilled && b.isFarFilled,
          .hidden = Hull(a.hidden, b.hidden),
          .shown = Hull(a.shown, b.shown)};
}

void FollowPadding(Call& call, PaddingUse& use) {
  if (call.node().domain.empty() && call.node().op == "Constant") return;  // its rule has said it
  Follower follower(call, use);
  const Padding padding = follower.Follow();
  for (auto& output : call.outputs()) output->padding = padding;
}

}  // namespace interleave::graph
