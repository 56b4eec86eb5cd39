#include <cstdio>

#include "run/served_models.h"

namespace interleave {
namespace {

std::string Json(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
      json += escaped;
    } else {
      json += c;
    }
  }
  return json + '"';
}

std::string JsonOrNull(std::string_view text) { return text.empty() ? "null" : Json(text); }

template <class Range, class Write>
std::string JsonArray(const Range& range, Write write) {
  std::string json = "[";
  for (const auto& element : range) json += (json.size() > 1 ? "," : "") + std::string(write(element));
  return json + ']';
}

std::string_view AxisName(Axis axis) {
  switch (axis) {
    case Axis::kBatch:
      return "batch";
    case Axis::kSequence0:
      return "sequence0";
    case Axis::kSequence1:
      return "sequence1";
    case Axis::kFixed:
      return "fixed";
    case Axis::kFree:
    case Axis::kUnknown:
      return "free";
  }
  return "";
}

std::string_view CoalesceName(CoalesceMode mode) {
  switch (mode) {
    case CoalesceMode::kPadded:
      return "padded";
    case CoalesceMode::kEqualLength:
      return "equal-length";
    case CoalesceMode::kAlone:
      return "alone";
  }
  return "";
}

std::string SpecJson(const TensorSpec& spec) {
  const std::span<const std::int64_t> dims(spec.shape.dims.data(), spec.shape.rank);
  const std::span<const Axis> axes(spec.axes.data(), spec.shape.rank);
  return "{\"name\":" + Json(spec.name) + ",\"datatype\":" + Json(DatatypeName(spec.type)) +
         ",\"shape\":" + JsonArray(dims, [](std::int64_t dim) { return std::to_string(dim); }) +
         ",\"axes\":" + JsonArray(axes, [](Axis axis) { return Json(AxisName(axis)); }) + '}';
}

std::string SignatureJson(const Signature& signature) {
  return "{\"inputs\":" + JsonArray(signature.inputs, SpecJson) +
         ",\"outputs\":" + JsonArray(signature.outputs, SpecJson) +
         ",\"coalesce\":" + Json(CoalesceName(signature.coalesce)) +
         ",\"coalesceReason\":" + JsonOrNull(signature.coalesceReason) + '}';
}

std::string NumberJson(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.4g", value);
  return text;
}

std::string WholeJson(double value) { return std::to_string(static_cast<std::int64_t>(value)); }

std::string GridJson(const CostGrid& grid) {
  const auto whole = [](std::int64_t value) { return std::to_string(value); };
  return "{\"lengths\":" + JsonArray(grid.lengths, whole) + ",\"rows\":" + JsonArray(grid.rows, whole) + ",\"runNs\":" +
         JsonArray(grid.runNs, [](const std::vector<double>& runNs) { return JsonArray(runNs, WholeJson); }) + '}';
}

std::string CostJson(const ModelCosts::Snapshot& costs) {
  return "{\"grid\":" + (costs.grid ? GridJson(*costs.grid) : "null") +
         ",\"ratio\":{\"median\":" + NumberJson(costs.ratio.median) + ",\"high\":" + NumberJson(costs.ratio.high) +
         "}}";
}

std::string_view StateName(ModelState state) {
  switch (state) {
    case ModelState::kLoading:
      return "loading";
    case ModelState::kReady:
      return "ready";
    case ModelState::kFailed:
      return "failed";
  }
  return "";
}

std::string ReportJson(const std::shared_ptr<ServedModel>& model) {
  const Session* session = model->session();
  const ModelState state = session != nullptr ? ModelState::kReady : model->state();
  return "{\"name\":" + Json(model->plan().name) + ",\"version\":" + Json(model->plan().version) +
         ",\"revision\":" + std::to_string(model->plan().revision) + ",\"state\":" + Json(StateName(state)) +
         ",\"reason\":" + JsonOrNull(model->reason()) +
         ",\"signature\":" + (session != nullptr ? SignatureJson(session->signature()) : "null") +
         ",\"cost\":" + (session != nullptr ? CostJson(model->costs().Now()) : "null") + '}';
}

}  // namespace

std::string ReportsJson(const ServedModels& models) { return JsonArray(models.All(), ReportJson); }

std::string WorkerReportJson(const std::string& workerId, Lane lane, const ServedModels& models) {
  return "{\"workerId\":" + Json(workerId) + ",\"lane\":" + Json(lane == Lane::kBatch ? "batch" : "realtime") +
         ",\"models\":" + ReportsJson(models) + '}';
}

}  // namespace interleave
