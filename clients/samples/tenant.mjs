const response = await fetch("https://api.neostra.io/api/v1/tenant/example_string/user/example_string", {
method: "PATCH",
headers: {
"Content-Type": "application/json",
"Authorization": "Bearer YOUR_API_TOKEN (JWT)"
},
body: JSON.stringify({
"roleId": "example_string"
})
});
const data = await response.json();
console.log(data);
