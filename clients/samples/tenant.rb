require 'net/http'
require 'json'
uri = URI('https://api.neostra.io/api/v1/tenant/example_string/user/example_string')
http = Net::HTTP.new(uri.host, uri.port)
http.use_ssl = true
request = Net::HTTP::Patch.new(uri)
request['Content-Type'] = 'application/json'
request['Authorization'] = 'Bearer YOUR_API_TOKEN (JWT)'
request.body = '{
"roleId": "example_string"
}'
response = http.request(request)
puts response.body
