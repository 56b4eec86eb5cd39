// The export table of the addon: one line per export, same names and same order as lib/addon.ts.
#include <napi.h>

namespace {

Napi::Object Init(Napi::Env, Napi::Object exports) { return exports; }

}  // namespace

NODE_API_MODULE(interleave_native, Init)
