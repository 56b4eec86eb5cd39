#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/rules.h"

namespace interleave::graph {
namespace {

// Windows that move over the axes after the first two; lists are empty where a node leaves them out.
struct Windows {
  std::vector<double> kernel, strides, pads,
      dilations;  // a file may hold any 64 bits: no sum or product of them overflows
  std::string_view autoPad;
  bool ceils = false;
};

std::vector<double> DoublesOf(const Call& call, std::string_view name) {
  const auto integers = call.Ints(name).value_or(std::vector<std::int64_t>());
  return {integers.begin(), integers.end()};
}

Windows WindowsOf(const Call& call, std::size_t spatial, const Numbers* weights) {
  Windows windows{.kernel = DoublesOf(call, "kernel_shape"),
                  .strides = DoublesOf(call, "strides"),
                  .pads = DoublesOf(call, "pads"),
                  .dilations = DoublesOf(call, "dilations"),
                  .autoPad = call.Text("auto_pad", "NOTSET"),
                  .ceils = call.Int("ceil_mode", 0) != 0};
  for (std::size_t i = 2; windows.kernel.empty() && weights != nullptr && i < weights->size(); ++i) {
    if (!(*weights)[i].IsFixed()) call.Unproven("has weights of unknown size");
    windows.kernel.push_back((*weights)[i].value);
  }
  if (windows.strides.empty()) windows.strides.resize(spatial, 1);
  if (windows.dilations.empty()) windows.dilations.resize(spatial, 1);
  if (windows.pads.empty()) windows.pads.resize(2 * spatial, 0);
  const bool fits = windows.kernel.size() == spatial && windows.strides.size() == spatial &&
                    windows.dilations.size() == spatial && windows.pads.size() == 2 * spatial;
  if (!fits || std::any_of(windows.strides.begin(), windows.strides.end(), [](auto stride) { return stride < 1; })) {
    call.Unproven("does not fit its input");
  }
  return windows;
}

Number Counted(const Number& dim, const Windows& windows, std::size_t i, std::size_t spatial) {
  const double stride = windows.strides[i];
  const double kernel = (windows.kernel[i] - 1) * windows.dilations[i] + 1;
  Number out{.value = 0, .varies = dim.varies};
  if (windows.autoPad.starts_with("SAME")) {
    out.value = std::ceil(dim.value / stride);
  } else {
    const bool valid = windows.autoPad == "VALID";
    const double before = valid ? 0 : windows.pads[i];
    const double after = valid ? 0 : windows.pads[spatial + i];
    const double steps = (dim.value + before + after - kernel) / stride;
    out.value = (windows.ceils ? std::ceil(steps) : std::floor(steps)) + 1;
    // No window starts in the padding at the end.
    if (windows.ceils && (out.value - 1) * stride >= dim.value + before) out.value -= 1;
    // Versions of the runtime differ in the last window.
    out.varies = out.varies || (windows.ceils && steps != std::floor(steps));
  }
  return out;
}

const Numbers& Image(const Call& call) {
  const Value& image = call.In(0);
  if (image.dims.size() < 3) call.Unproven("does not fit its input");
  call.RowsFirst(0, "takes the batch axis for channels or a side of the image");
  return image.dims;
}

void Convolve(Call& call, std::size_t weights, int type) {
  for (std::size_t i = 1; i < call.size(); ++i) call.Constant(i, i + 1);
  const Numbers& image = Image(call);
  const Numbers& kernel = call.In(weights).dims;
  if (kernel.size() != image.size()) call.Unproven("does not fit its input");
  const std::size_t spatial = image.size() - 2;
  const Windows windows = WindowsOf(call, spatial, &kernel);
  Numbers dims{image[0], kernel[0]};
  for (std::size_t i = 0; i < spatial; ++i) dims.push_back(Counted(image[i + 2], windows, i, spatial));
  call.Out(Shaped(std::move(dims), type));
}

void Conv(Call& call) { Convolve(call, 1, kFloat); }
void ConvInteger(Call& call) { Convolve(call, 1, kInt32); }
void QLinearConv(Call& call) { Convolve(call, 3, kUint8); }

void ConvTranspose(Call& call) {
  call.Constant(1, call.size());
  const Numbers& image = Image(call);
  const Numbers& kernel = call.In(1).dims;
  if (kernel.size() != image.size()) call.Unproven("does not fit its input");
  const std::size_t spatial = image.size() - 2;
  const Windows windows = WindowsOf(call, spatial, &kernel);
  const auto extra = call.Ints("output_padding").value_or(std::vector<std::int64_t>(spatial, 0));
  const auto given = call.Ints("output_shape").value_or(std::vector<std::int64_t>());
  if (extra.size() != spatial || (!given.empty() && given.size() < spatial)) call.Unproven("does not fit its input");
  Numbers dims{image[0], Multiply(kernel[1], {.value = static_cast<double>(call.Int("group", 1))})};
  for (std::size_t i = 0; i < spatial; ++i) {
    Number dim{.value = image[i + 2].value, .varies = image[i + 2].varies};
    const double stride = windows.strides[i];
    const double width = (windows.kernel[i] - 1) * windows.dilations[i] + 1 + static_cast<double>(extra[i]);
    if (windows.autoPad.starts_with("SAME"))
      dim.value *= stride;
    else
      dim.value = stride * (dim.value - 1) + width - windows.pads[i] - windows.pads[spatial + i];
    if (!given.empty()) dim = {.value = static_cast<double>(given[given.size() - spatial + i])};
    dims.push_back(dim);
  }
  call.Out(Shaped(std::move(dims)));
}

// Indices of MaxPool count through the whole run: output 1 is not followed.
void Pool(Call& call) {
  call.Constant(1, call.size());
  Numbers dims = Image(call);
  const std::size_t spatial = dims.size() - 2;
  const Windows windows = WindowsOf(call, spatial, nullptr);
  for (std::size_t i = 0; i < spatial; ++i) dims[i + 2] = Counted(dims[i + 2], windows, i, spatial);
  call.Out(Shaped(std::move(dims)));
}

void GlobalPool(Call& call) {
  call.Constant(1, call.size());
  Numbers dims = Image(call);
  std::fill(dims.begin() + 2, dims.end(), Number{.value = 1});
  call.Out(Shaped(std::move(dims)));
}

// Sizes and scales of Resize and Upsample for the axes that they name.
struct Scaling {
  Numbers scales, sizes;
  std::vector<std::int64_t> axes;
};

Scaling ScalingOf(Call& call) {
  Scaling scaling;
  const std::size_t scales = call.node().op == "Resize" && call.opset() >= 11 ? 2 : 1;
  const auto isGiven = [&](std::size_t i) { return call.Has(i) && !Product(call.In(i).dims).Is(0); };
  if (isGiven(3))
    scaling.sizes = call.Sizes(3);
  else if (isGiven(scales))
    scaling.scales = call.Sizes(scales);
  if (const Attribute* list = call.FindList("scales")) {
    for (const double scale : list->floats) scaling.scales.push_back({.value = scale});
  }
  scaling.axes.resize(call.In(0).dims.size());
  std::iota(scaling.axes.begin(), scaling.axes.end(), 0);
  if (const auto axes = call.Ints("axes")) scaling.axes = *axes;
  const std::size_t given = scaling.sizes.empty() ? scaling.scales.size() : scaling.sizes.size();
  if (given != scaling.axes.size()) call.Unproven("does not fit its input");
  return scaling;
}

// The runtime interpolates over every axis of a tensor of up to three, and over the last two or three, or the two in
// the middle, of others. An axis that keeps its size takes its neighbours with weight 0, which makes NaN of what is
// infinite.
void CheckInterpolation(const Call& call) {
  const int rows = call.Rows(0);
  const bool isOutside = rows < 0 || (rows == 0 && call.In(0).dims.size() > 3);
  if (!isOutside && call.Text("mode", "nearest") != "nearest") call.Mixed("blends along the batch axis");
}

void Resize(Call& call) {
  Numbers dims = call.In(0).dims;
  const Scaling scaling = ScalingOf(call);
  CheckInterpolation(call);
  if (call.Text("coordinate_transformation_mode") == "tf_crop_and_resize")
    call.Unproven("has a form that is not followed");
  if (call.Text("keep_aspect_ratio_policy", "stretch") != "stretch") call.Unproven("has a form that is not followed");
  for (std::size_t i = 0; i < scaling.axes.size(); ++i) {
    Number& dim = dims[call.Axis(scaling.axes[i], dims.size())];
    const bool isSame = scaling.sizes.empty() ? scaling.scales[i].IsFixed() && scaling.scales[i].Is(1)
                                              : SameSize(scaling.sizes[i], dim) && !scaling.sizes[i].varies;
    if (dim.rows && !isSame) call.Mixed("resizes along the batch axis");
    if (isSame) continue;
    if (!scaling.sizes.empty()) {
      if (scaling.sizes[i].rows) call.Mixed("resizes by the number of rows");
      dim = scaling.sizes[i];
      continue;
    }
    if (scaling.scales[i].rows) call.Mixed("resizes by the number of rows");
    // A product that is no whole number may be rounded otherwise by the runtime.
    const double scaled = dim.value * scaling.scales[i].value;
    const bool isExact = dim.IsFixed() && Held(scaling.scales[i], kFloat).IsFixed() && scaled == std::trunc(scaled);
    dim = {.value = std::floor(scaled), .varies = !isExact};
  }
  call.Out(Shaped(std::move(dims)));
}

// Samples image r at the places of entry r of the grid.
void GridSample(Call& call) {
  const Numbers& image = Image(call);
  const Numbers& grid = call.In(1).dims;
  call.RowsFirst(1, "samples across the batch axis");
  if (grid.size() != image.size() || !SameSize(grid[0], image[0])) call.Unproven("does not fit its input");
  Numbers dims{image[0], image[1]};
  dims.insert(dims.end(), grid.begin() + 1, grid.end() - 1);
  call.Out(Shaped(std::move(dims)));
}

// Windows of a signal [rows, samples, 1 or 2], each turned into frequencies.
void Stft(Call& call) {
  const Numbers& signal = call.In(0).dims;
  call.RowsFirst(0, "takes the batch axis for time");
  call.Constant(1, call.size());
  const Number step = call.Sizes(1).at(0);
  const Number length = call.Has(3)   ? call.Sizes(3).at(0)
                        : call.Has(2) ? call.In(2).dims.at(0)
                                      : Number{.opaque = true};
  if (signal.size() != 3 || !step.IsFixed() || !length.IsFixed() || step.value < 1)
    call.Unproven("does not fit its input");
  const Number frames{.value = std::floor((signal[1].value - length.value) / step.value) + 1,
                      .varies = signal[1].varies};
  const bool half = call.Int("onesided", 1) != 0;
  call.Out(
      Shaped({signal[0], frames, {.value = half ? std::floor(length.value / 2) + 1 : length.value}, {.value = 2}}));
}

}  // namespace

void AddImageRules(Rules& rules) {
  rules["Conv"] = Conv;
  rules["ConvInteger"] = ConvInteger;
  rules["QLinearConv"] = QLinearConv;
  rules["ConvTranspose"] = ConvTranspose;
  for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) rules[op] = Pool;
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"}) rules[op] = GlobalPool;
  rules["Resize"] = Resize;
  rules["Upsample"] = Resize;
  rules["GridSample"] = GridSample;
  rules["STFT"] = Stft;
}

}  // namespace interleave::graph
