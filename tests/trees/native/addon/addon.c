#include <node_api.h>

static napi_value init(napi_env env, napi_value exports) {
  napi_value seven;
  napi_create_int32(env, 7, &seven);
  napi_set_named_property(env, exports, "seven", seven);
  return exports;
}

NAPI_MODULE(NODE_GYP_MODULE_NAME, init)
