#include <algorithm>

#include "graph/rules.h"

namespace interleave::graph {
namespace {

constexpr std::string_view kForFeatures = "takes the batch axis for features";

Number Counted(std::size_t count) { return {.value = static_cast<double>(count)}; }

// Entries of a list attribute, under any of its names.
std::size_t ListSize(const Call& call, std::initializer_list<std::string_view> names) {
  std::size_t size = 0;
  for (const std::string_view name : names) {
    if (const Attribute* list = call.FindList(name))
      size = std::max({size, list->integers.size(), list->floats.size(), list->stringsCount});
  }
  return size;
}

// A table of rows and features; the rows are its first axis.
const Numbers& Table(const Call& call) {
  const Numbers& dims = call.In(0).dims;
  call.RowsFirst(0, kForFeatures);
  if (call.AnyRows() && dims.size() != 2) call.Mixed(kForFeatures);
  if (dims.empty()) call.Unproven("does not fit its input");
  return dims;
}

void Classifier(Call& call) {
  const Number rows = Table(call)[0];
  const std::size_t classes = ListSize(call, {"classlabels_int64s", "classlabels_ints", "classlabels_strings"});
  call.Out(0, Shaped({rows}, kInt64));
  // Where there are two classes, some models list or give one.
  call.Out(1, Shaped({rows, {.value = static_cast<double>(classes), .varies = true}}));
}

void Regressor(Call& call) {
  const Number rows = Table(call)[0];
  call.Out(Shaped({rows, {.value = static_cast<double>(std::max(call.Int("n_targets", 1), call.Int("targets", 1)))}}));
}

void PerFeature(Call& call) {
  Table(call);
  call.Out(Shaped(call.In(0).dims));
}

void PerElement(Call& call) { call.Out(Shaped(call.In(0).dims)); }

void OneHotEncoder(Call& call) {
  Numbers dims = call.In(0).dims;
  dims.push_back(Counted(ListSize(call, {"cats_int64s", "cats_strings"})));
  call.Out(Shaped(std::move(dims)));
}

// Picks columns: the last axis of the data, by places that are the same for all rows, or labels by each row's place.
void ArrayFeatureExtractor(Call& call) {
  Numbers dims = call.In(0).dims;
  const Value& places = call.In(1);
  if (dims.empty()) call.Unproven("does not fit its input");
  call.NotAlong(0, dims.size() - 1, "picks entries of the batch axis");
  if (call.Rows(0) >= 0 && places.RowAxis() >= 0) call.Mixed("picks places of other rows");
  const int rows = places.RowAxis();
  if (rows > 0 && !Product(places.dims, 0, static_cast<std::size_t>(rows)).Is(1))
    call.Mixed("moves values between rows");
  dims.back() = Product(places.dims);
  if (dims.size() == 1) dims.insert(dims.begin(), Counted(1));
  call.Out(Shaped(std::move(dims)));
}

void FeatureVectorizer(Call& call) {
  Number width;
  for (std::size_t i = 0; i < call.size(); ++i) {
    const Numbers& dims = call.In(i).dims;
    if (dims.size() != 2 || call.Rows(i) != 0) call.Unproven("joins tensors without rows");
    width = Add(width, dims[1]);
  }
  call.Out(Shaped({call.In(0).dims.at(0), width}));
}

}  // namespace

void AddTableRules(Rules& rules) {
  for (const char* op : {"LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"}) rules[op] = Classifier;
  for (const char* op : {"LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor", "TreeEnsemble"})
    rules[op] = Regressor;
  for (const char* op : {"Scaler", "Normalizer", "Imputer"}) rules[op] = PerFeature;
  for (const char* op : {"LabelEncoder", "CategoryMapper", "Binarizer"}) rules[op] = PerElement;
  // Its tensor is served in its place; see session/zip_map.h.
  rules["ZipMap"] = PerElement;
  rules["OneHotEncoder"] = OneHotEncoder;
  rules["ArrayFeatureExtractor"] = ArrayFeatureExtractor;
  rules["FeatureVectorizer"] = FeatureVectorizer;
}

}  // namespace interleave::graph
